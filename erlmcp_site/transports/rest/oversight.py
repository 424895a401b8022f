"""The audit trail and telemetry over REST (contract §2)."""

from audit_app.serializers import ListParams, VerifyParams
from erlmcp_site.methods.telemetry import ProfileParams
from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import EntryPage, ProfileDocument, Snapshot, VerificationDocument

AUDIT_FILTERS = ("queue", "action", "user", "resource", "outcome", "since", "until", "order", "cursor", "limit")


class AuditView(MethodView):
    """The audit trail, the newest entries first."""

    @documented("audit/list", {200: EntryPage}, parameters=[ListParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("audit/list", fields_of(incoming, *AUDIT_FILTERS))


class VerifyView(MethodView):
    """Whether the trail, or a part of it, is as it was made, and if not, which entry is the first that is not."""

    @documented("audit/verify", {200: VerificationDocument}, parameters=[VerifyParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("audit/verify", fields_of(incoming, "from", "until"))


class TelemetryView(MethodView):
    """How the service does right now."""

    @documented("telemetry/snapshot", {200: Snapshot})
    def get(self, incoming: Incoming) -> Call:
        return Call("telemetry/snapshot", {})


class ProfileView(MethodView):
    """What the process that answers is busy with, for some seconds; where PROFILING is on."""

    @documented("telemetry/profile", {200: ProfileDocument}, body=ProfileParams)
    def post(self, incoming: Incoming) -> Call:
        return Call("telemetry/profile", document_of(incoming, optional=True))
