"""API keys over REST (contract §2)."""

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import KeyPage, NewKeyDocument
from resources_app.serializers import PageParams
from sessions_app.serializers import NewKeyParams


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
