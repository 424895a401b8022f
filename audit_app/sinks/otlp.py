"""OpenTelemetry logs over HTTP, in protobuf (OTLP 1.x: opentelemetry.io/docs/specs/otlp/)."""

import time
from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from audit_app.formats.record import PRODUCT, VERSION
from audit_app.sinks.configuration import Target
from audit_app.sinks.http import Poster, judge
from audit_app.sinks.receivers import EntriesRejected, Item

SEVERITIES = {
    "success": (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    "refused": (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"),
    "error": (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
}


class Otlp:
    """A log record for each entry, whose body is the entry's line."""

    def __init__(self, target: Target) -> None:
        self._poster = Poster(target)
        self._token = target.texts.get("token")

    def send(self, items: Sequence[Item], key: str) -> None:
        body, headers = self._poster.packed(request(items).SerializeToString())
        headers |= {"Content-Type": "application/x-protobuf"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        status, answer, after = self._poster.post(body, headers)
        judge(status, answer, after)
        _check_whole(answer)

    def close(self) -> None:
        self._poster.close()


def request(items: Sequence[Item]) -> ExportLogsServiceRequest:
    """Entries as one request."""
    records = [_record(item) for item in items]
    scope = ScopeLogs(scope=InstrumentationScope(name=f"{PRODUCT}.audit", version=VERSION), log_records=records)
    about = Resource(attributes=_attributes({"service.name": PRODUCT, "service.version": VERSION}))
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=about, scope_logs=[scope])])


def _record(item: Item) -> LogRecord:
    entry = item.entry
    number, text = SEVERITIES.get(entry.outcome, SEVERITIES["error"])
    told: dict[str, str | int] = {
        "erlmcp.entry.id": entry.id,
        "erlmcp.entry.sequence": entry.sequence,
        "erlmcp.queue": entry.get_queue_display(),
        "erlmcp.action": entry.action,
        "erlmcp.outcome": entry.outcome,
        "enduser.id": entry.user,
        "client.address": entry.source_ip,
        "user_agent.original": entry.user_agent,
        "session.id": entry.session_id,
    }
    return LogRecord(
        time_unix_nano=int(entry.timestamp.timestamp() * 1_000_000) * 1_000,
        observed_time_unix_nano=time.time_ns(),
        severity_number=number,
        severity_text=text,
        event_name=f"{PRODUCT}.audit",
        body=AnyValue(string_value=item.line.decode()),
        attributes=_attributes(told),
    )


def _attributes(values: Mapping[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value))
        for key, value in values.items()
        if value != ""
    ]


def _check_whole(answer: bytes) -> None:
    """Raises EntriesRejected when the collector took only a part: which one, it does not say."""
    response = ExportLogsServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        # it said 200, in whatever words
        return
    partial = response.partial_success
    if partial.rejected_log_records > 0:
        raise EntriesRejected(f"{partial.rejected_log_records} rejected: {partial.error_message}")
