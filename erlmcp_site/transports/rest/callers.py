"""Logging in, and sessions, over REST (contract §2, §6)."""

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of


class LoginView(MethodView):
    """A name and a password for a pair of tokens."""

    def post(self, incoming: Incoming) -> Call:
        return Call("auth/login", document_of(incoming))


class RefreshView(MethodView):
    """A refresh token for a new pair; every refresh token works once."""

    def post(self, incoming: Incoming) -> Call:
        return Call("auth/refresh", document_of(incoming))


class RevokeView(MethodView):
    """The end of a token family, access tokens included."""

    def post(self, incoming: Incoming) -> Call:
        return Call("auth/revoke", document_of(incoming))


class SessionsView(MethodView):
    """The caller's sessions, or all of them for an administrator of sessions."""

    def get(self, incoming: Incoming) -> Call:
        return Call("sessions/list", fields_of(incoming, "limit", "cursor"))

    def post(self, incoming: Incoming) -> Call:
        return Call("sessions/create", document_of(incoming, optional=True), encoding.created_below("/api/v1/sessions"))


class SessionView(MethodView):
    """One session."""

    def get(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/get", {"session": session})

    def patch(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/update", document_of(incoming) | {"session": session})

    def delete(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/close", {"session": session}, encoding.no_content)


class SuspendView(MethodView):
    """The suspension of a session by an administrator."""

    def post(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/suspend", document_of(incoming, optional=True) | {"session": session})


class ResumeView(MethodView):
    """The end of a suspension."""

    def post(self, incoming: Incoming, session: str) -> Call:
        return Call("sessions/resume", document_of(incoming, optional=True) | {"session": session})
