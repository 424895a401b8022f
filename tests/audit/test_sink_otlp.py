"""What a sink posts to an OpenTelemetry collector, and what becomes of its answers."""

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from audit_app.sinks.receivers import EntriesRejected
from tests.audit.deliveries import items, send
from tests.audit.receivers import (
    HOST,
    Answer,
    WebReceiver,
)


def test_a_collector_gets_a_log_record_for_each_entry(web: WebReceiver) -> None:
    send(f"otlp+http://{HOST}:{web.port}?name=o&token=t", items(2, outcome="refused"))
    (posted,) = web.taken
    assert posted.path == "/v1/logs"
    assert posted.headers["content-type"] == "application/x-protobuf"
    assert posted.headers["authorization"] == "Bearer t"
    request = ExportLogsServiceRequest.FromString(posted.body)
    (logs,) = request.resource_logs
    assert logs.resource.attributes[0].value.string_value == "erlmcp"
    records = logs.scope_logs[0].log_records
    assert len(records) == 2
    attributes = {one.key: one.value for one in records[1].attributes}
    assert attributes["erlmcp.entry.sequence"].int_value == 2
    assert attributes["erlmcp.entry.id"].string_value == orjson.loads(records[1].body.string_value)["id"]
    assert records[0].time_unix_nano == 1_795_521_600_251_000_000
    assert records[0].severity_text == "WARN"


def test_a_collector_that_takes_only_a_part_rejects(web: WebReceiver) -> None:
    partial = ExportLogsServiceResponse(
        partial_success=ExportLogsPartialSuccess(rejected_log_records=1, error_message="too old")
    )
    web.answer = lambda posted: Answer(200, partial.SerializeToString())
    with pytest.raises(EntriesRejected, match="1 rejected: too old"):
        send(f"otlp+http://{HOST}:{web.port}?name=o", items(2))


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xff"])
def test_a_collector_may_say_yes_in_its_own_words(web: WebReceiver, body: bytes) -> None:
    web.answer = lambda posted: Answer(200, body)
    send(f"otlp+http://{HOST}:{web.port}?name=o", items(1))
