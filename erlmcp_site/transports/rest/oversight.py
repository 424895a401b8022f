"""The audit trail and telemetry over REST (contract §2)."""

from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of

AUDIT_FILTERS = ("queue", "action", "user", "resource", "outcome", "since", "until", "cursor", "limit")


class AuditView(MethodView):
    """The audit trail, the newest entries first."""

    def get(self, incoming: Incoming) -> Call:
        return Call("audit/list", fields_of(incoming, *AUDIT_FILTERS))


class TelemetryView(MethodView):
    """How the service does right now."""

    def get(self, incoming: Incoming) -> Call:
        return Call("telemetry/snapshot", {})
