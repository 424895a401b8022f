"""Subscriptions, long poll and acknowledgement over REST (contract §2, §4)."""

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of


class SubscriptionsView(MethodView):
    """The caller's durable subscriptions."""

    def get(self, incoming: Incoming) -> Call:
        return Call("subscriptions/list", fields_of(incoming, "limit", "cursor"))

    def post(self, incoming: Incoming) -> Call:
        return Call("subscriptions/create", document_of(incoming), encoding.created_below("/api/v1/subscriptions"))


class SubscriptionView(MethodView):
    """One durable subscription."""

    def get(self, incoming: Incoming, subscription: str) -> Call:
        return Call("subscriptions/get", {"subscription": subscription})

    def delete(self, incoming: Incoming, subscription: str) -> Call:
        return Call("subscriptions/delete", {"subscription": subscription}, encoding.no_content)


class EventsView(MethodView):
    """Long poll: the next events of a durable subscription, or none when the time is up."""

    def get(self, incoming: Incoming) -> Call:
        return Call("events/poll", fields_of(incoming, "subscription", "after", "timeout_ms", "limit"))


class AcknowledgeView(MethodView):
    """How far the owner of a durable subscription has got: where it resumes without an offset."""

    def post(self, incoming: Incoming) -> Call:
        return Call("events/ack", document_of(incoming))
