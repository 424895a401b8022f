"""Subscriptions, long poll and acknowledgement over REST (contract §2, §4)."""

from erlmcp_site.transports.http.answers import Application
from erlmcp_site.transports.http.api import Handler
from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import (
    Acknowledged,
    Events,
    SubscriptionBody,
    SubscriptionDocument,
    SubscriptionPage,
)
from erlmcp_site.transports.rest.polls import LongPoll
from resources_app.serializers import AckParams, PageParams, PollParams


class SubscriptionsView(MethodView):
    """The caller's durable subscriptions."""

    @documented("subscriptions/list", {200: SubscriptionPage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("subscriptions/list", fields_of(incoming, "limit", "cursor"))

    @documented(
        "subscriptions/create",
        {201: SubscriptionDocument},
        body=SubscriptionBody,
        refusals=["invalid_uri", "reset"],
    )
    def post(self, incoming: Incoming) -> Call:
        return Call("subscriptions/create", document_of(incoming), encoding.created_below("/api/v1/subscriptions"))


class SubscriptionView(MethodView):
    """One durable subscription."""

    @documented("subscriptions/get", {200: SubscriptionDocument})
    def get(self, incoming: Incoming, subscription: str) -> Call:
        return Call("subscriptions/get", {"subscription": subscription})

    @documented("subscriptions/delete", {204: None})
    def delete(self, incoming: Incoming, subscription: str) -> Call:
        return Call("subscriptions/delete", {"subscription": subscription}, encoding.no_content)


class EventsView(MethodView):
    """Long poll: the next events of a durable subscription, or none when the time is up."""

    @documented("events/poll", {200: Events}, parameters=[PollParams], refusals=["reset"])
    def get(self, incoming: Incoming) -> Call:
        return Call("events/poll", fields_of(incoming, "subscription", "after", "timeout_ms", "limit"))

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        return LongPoll(incoming, handler(incoming))


class AcknowledgeView(MethodView):
    """How far the owner of a durable subscription has got: where it resumes without an offset."""

    @documented("events/ack", {200: Acknowledged}, body=AckParams, refusals=["reset"])
    def post(self, incoming: Incoming) -> Call:
        return Call("events/ack", document_of(incoming))
