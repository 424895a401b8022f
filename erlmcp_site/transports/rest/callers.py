"""Logging in, and sessions, over REST (contract §2, §6)."""

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import WITH_BODY, documented
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import (
    NewSession,
    Revoked,
    SessionBody,
    SessionDocument,
    SessionPage,
    TokenPair,
)
from resources_app.serializers import PageParams
from sessions_app.serializers import LoginParams, RefreshParams


class LoginView(MethodView):
    """A name and a password for a pair of tokens."""

    @documented("auth/login", {200: TokenPair}, body=LoginParams, refusals=["unauthenticated"], public=True)
    def post(self, incoming: Incoming) -> Call:
        return Call("auth/login", document_of(incoming))


class RefreshView(MethodView):
    """A refresh token for a new pair; every refresh token works once."""

    @documented(
        "auth/refresh",
        {200: TokenPair},
        body=RefreshParams,
        refusals=["unauthenticated", "refresh_reused"],
        public=True,
    )
    def post(self, incoming: Incoming) -> Call:
        return Call("auth/refresh", document_of(incoming))


class RevokeView(MethodView):
    """The end of a token family, access tokens included."""

    @documented("auth/revoke", {200: Revoked}, body=RefreshParams, refusals=["unauthenticated"], public=True)
    def post(self, incoming: Incoming) -> Call:
        return Call("auth/revoke", document_of(incoming))


class SessionsView(MethodView):
    """The caller's sessions, or all of them for an administrator of sessions."""

    @documented("sessions/list", {200: SessionPage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("sessions/list", fields_of(incoming, "limit", "cursor"))

    @documented("sessions/create", {201: SessionDocument}, body=NewSession)
    def post(self, incoming: Incoming) -> Call:
        return Call("sessions/create", document_of(incoming, optional=True), encoding.created_below("/api/v1/sessions"))


class SessionView(MethodView):
    """One session."""

    @documented("sessions/get", {200: SessionDocument})
    def get(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/get", {"session": session})

    @documented("sessions/update", {200: SessionDocument}, body=SessionBody, refusals=["illegal_transition"])
    def patch(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/update", document_of(incoming) | {"session": session})

    @documented("sessions/close", {204: None}, refusals=["illegal_transition"])
    def delete(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/close", {"session": session}, encoding.no_content)


class SuspendView(MethodView):
    """The suspension of a session by an administrator."""

    @documented("sessions/suspend", {200: SessionDocument}, refusals=[*WITH_BODY, "illegal_transition"])
    def post(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/suspend", document_of(incoming, optional=True) | {"session": session})


class ResumeView(MethodView):
    """The end of a suspension."""

    @documented("sessions/resume", {200: SessionDocument}, refusals=[*WITH_BODY, "illegal_transition"])
    def post(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/resume", document_of(incoming, optional=True) | {"session": session})
