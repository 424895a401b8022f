"""API keys over REST (contract §2)."""

from typing import Any

from rest_framework import serializers

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import Page
from resources_app.serializers import PageParams
from sessions_app.serializers import NewKeyParams


class KeyDocument(serializers.Serializer[Any]):
    """An API key, without itself. An empty `scope` narrows nothing."""

    id = serializers.CharField()
    prefix = serializers.CharField()
    user = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    scope = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewKeyDocument(KeyDocument):
    """An API key with `key`, itself, which only the answer that creates it tells, and a repeat of that does not."""

    key = serializers.CharField(required=False)


class KeyPage(Page):
    keys = KeyDocument(many=True)


class KeysView(MethodView):
    """The caller's API keys, or all of them for an administrator of access."""

    @documented("keys/list", {200: KeyPage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("keys/list", fields_of(incoming, "limit", "cursor"))

    @documented("keys/create", {201: NewKeyDocument}, body=NewKeyParams)
    def post(self, incoming: Incoming) -> Call:
        return Call("keys/create", document_of(incoming, optional=True), encoding.created_below("/api/v1/keys"))


class KeyView(MethodView):
    """One API key."""

    @documented("keys/revoke", {204: None})
    def delete(self, incoming: Incoming, id: str) -> Call:
        return Call("keys/revoke", {"id": id}, encoding.no_content)
