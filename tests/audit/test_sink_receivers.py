"""What each kind of receiver is sent, and when it counts as taken."""

import base64
import hashlib
import hmac
import multiprocessing
import re
import resource
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from audit_app.formats import FORMATS
from audit_app.queries import entry_json
from audit_app.sinks.configuration import parse_sink
from audit_app.sinks.http import retry_after
from audit_app.sinks.kinds import receiver_of
from audit_app.sinks.receivers import EntriesRejected, Item, ReceiverAway
from tests.audit.receivers import (
    HOST,
    Answer,
    Certificate,
    Posted,
    SyslogReceiver,
    WebReceiver,
    a_port_where_nobody_listens,
    certificate_in,
)
from tests.audit.trails import entry_numbered
from tests.stack.beside import in_a_fork
from tests.stack.waiting import wait_until

FORGED = 'a"]\\\r\n\x1b[31m\0<13>1 - - - - - - forged\u2028'


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    server = WebReceiver()
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_in(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def syslog() -> Iterator[SyslogReceiver]:
    server = SyslogReceiver()
    yield server
    server.close()


@pytest.fixture
def secured(certificate: Certificate) -> Iterator[SyslogReceiver]:
    server = SyslogReceiver(certificate)
    yield server
    server.close()


def items(count: int, format: str = "jsonl", **fields: Any) -> list[Item]:
    entries = [entry_numbered(number, **fields) for number in range(1, count + 1)]
    return [Item(entry, FORMATS[format](entry_json(entry))) for entry in entries]


def send(url: str, wanted: Sequence[Item], key: str = "siem-0-1-1") -> None:
    receiver = receiver_of(parse_sink(url))
    try:
        receiver.send(wanted, key)
    finally:
        receiver.close()


def lines_of(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


# files


def test_a_file_has_a_line_for_each_entry(tmp_path: Path) -> None:
    path = tmp_path / "below" / "audit.jsonl"
    send(f"file://{path}?name=f", items(3))
    send(f"file://{path}?name=f", items(2))
    assert [line["sequence"] for line in lines_of(path)] == [1, 2, 3, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_full_file_is_renamed_whole_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    wanted = items(200)
    for item in wanted:
        send(f"file://{path}?name=f&max_bytes=4096&keep=3", [item])
    rotated = sorted((p for p in tmp_path.glob("audit.jsonl.*[0-9]")), key=lambda p: int(p.suffix[1:]))
    assert len(rotated) == 3
    assert all(0 < p.stat().st_size <= 4096 for p in [*rotated, path])
    kept = [line["sequence"] for p in [*rotated, path] for line in lines_of(p)]
    assert kept == list(range(kept[0], 201))


def test_with_keep_0_no_file_goes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for item in items(60):
        send(f"file://{path}?name=f&max_bytes=4096&keep=0", [item])
    rotated = sorted((p for p in tmp_path.glob("audit.jsonl.*[0-9]")), key=lambda p: int(p.suffix[1:]))
    assert [line["sequence"] for p in [*rotated, path] for line in lines_of(p)] == list(range(1, 61))


def test_an_old_file_is_renamed_and_a_clock_stepped_back_renames_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f&max_seconds=100"
    send(url, items(1))
    lock = tmp_path / "audit.jsonl.lock"
    begun = float(lock.read_text())
    lock.write_text(f"{begun + 3600:.3f}\n")
    send(url, items(1))
    assert not (tmp_path / "audit.jsonl.1").exists()
    lock.write_text(f"{begun - 101:.3f}\n")
    send(url, items(1))
    assert (len(lines_of(tmp_path / "audit.jsonl.1")), len(lines_of(path))) == (2, 1)
    assert float(lock.read_text()) >= begun


def test_half_a_line_of_somebody_who_died_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    one, two = items(2)
    for half in (two.line[:40], two.line * 1_000):
        path.write_bytes(one.line + b"\n" + half)
        send(f"file://{path}?name=f", [two])
        assert path.read_bytes() == one.line + b"\n" + two.line + b"\n"
    path.write_bytes(one.line[:40])
    send(f"file://{path}?name=f", [one])
    assert path.read_bytes() == one.line + b"\n"


def test_a_file_that_may_not_grow_keeps_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f"
    send(url, items(2))
    before = path.read_bytes()

    def send_with_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 300, resource.RLIM_INFINITY))
        with pytest.raises(ReceiverAway, match="File too large"):
            send(url, items(2))

    assert in_a_fork(send_with_little_room) == 0
    assert path.read_bytes() == before
    send(url, items(2))
    assert [line["sequence"] for line in lines_of(path)] == [1, 2, 1, 2]


def append(url: str, number: int) -> None:
    for _ in range(30):
        send(url, items(7, user=f"process-{number}"))


def test_processes_side_by_side_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f&max_bytes=20000&keep=0"
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=append, args=(url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = [line for p in tmp_path.glob("audit.jsonl*") if p.suffix != ".lock" for line in lines_of(p)]
    assert len(found) == 3 * 30 * 7
    assert {(line["user"], line["sequence"]) for line in found} == {
        (f"process-{number}", n) for number in range(3) for n in range(1, 8)
    }


def test_a_folder_that_cannot_be_written_is_a_receiver_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ReceiverAway, match=r"audit\.jsonl"):
        send(f"file://{tmp_path}/file/audit.jsonl?name=f", items(1))


# syslog

MESSAGE = re.compile(
    r"<(?P<pri>\d+)>1 (?P<time>\S+) (?P<host>\S+) erlmcp - (?P<msgid>\S+) "
    r'\[erlmcp@32473 id="(?P<id>(?:[^"\\\]]|\\.)*)" sequence="(?P<sequence>\d+)"\] (?P<text>.*)',
    re.DOTALL,
)


def parsed(message: bytes) -> dict[str, str]:
    match = MESSAGE.fullmatch(message.decode())
    assert match, message
    return match.groupdict()


def test_syslog_messages_are_framed_by_their_octets(syslog: SyslogReceiver) -> None:
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s", items(300, user="ä" * 50))
    assert len(syslog.messages) == 300
    found = [parsed(message) for message in syslog.messages]
    assert [int(one["sequence"]) for one in found] == list(range(1, 301))
    assert found[0]["pri"] == "110"
    assert found[0]["time"] == "2026-11-24T12:00:00.251000Z"
    assert found[0]["msgid"] == "resources/write"
    assert orjson.loads(found[0]["text"])["id"] == found[0]["id"]
    assert syslog.errors == []


@pytest.mark.parametrize(("outcome", "pri"), [("success", "110"), ("refused", "108"), ("error", "107")])
def test_the_priority_says_how_it_ended(syslog: SyslogReceiver, outcome: str, pri: str) -> None:
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s", items(1, outcome=outcome))
    assert parsed(syslog.messages[0])["pri"] == pri


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_that_a_client_sends_forges_a_message(syslog: SyslogReceiver, format: str) -> None:
    fields = dict.fromkeys(("id", "action", "user", "user_agent", "resource_id", "source_ip", "session_id"), FORGED)
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s&format={format}", items(2, format, **fields))
    assert len(syslog.messages) == 2
    for message in syslog.messages:
        assert parsed(message)["msgid"].isascii()
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028]", message.decode())


def test_syslog_over_tls_is_verified(secured: SyslogReceiver, certificate: Certificate) -> None:
    with pytest.raises(ReceiverAway, match="certificate verify failed"):
        send(f"syslog+tls://{HOST}:{secured.port}?name=s", items(1))
    assert secured.messages == []
    send(f"syslog+tls://{HOST}:{secured.port}?name=s&ca={certificate.cert}", items(400))
    assert [int(parsed(message)["sequence"]) for message in secured.messages] == list(range(1, 401))


@pytest.mark.parametrize("confirm", [0, 1])
def test_a_receiver_that_breaks_off_has_not_taken_it(syslog: SyslogReceiver, confirm: int) -> None:
    syslog.reads = 1
    with pytest.raises(ReceiverAway):
        send(f"syslog+tcp://{HOST}:{syslog.port}?name=s&confirm={confirm}", items(20_000))


def test_a_receiver_over_tls_that_breaks_off_has_not_taken_it(
    secured: SyslogReceiver, certificate: Certificate
) -> None:
    secured.reads = 1
    with pytest.raises(ReceiverAway):
        send(f"syslog+tls://{HOST}:{secured.port}?name=s&ca={certificate.cert}", items(10))


def test_a_receiver_that_never_closes_is_trusted_only_with_confirm_0(syslog: SyslogReceiver) -> None:
    syslog.ends = False
    with pytest.raises(ReceiverAway, match="timed out"):
        send(f"syslog+tcp://{HOST}:{syslog.port}?name=s&timeout=1", items(2))
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s&confirm=0", items(2))
    wait_until(lambda: len(syslog.messages) == 4, 10, "the messages that TCP has")


@pytest.mark.parametrize("kind", ["syslog+tcp", "syslog+tls", "http", "splunk+http", "otlp+http"])
def test_nobody_there_is_a_receiver_that_is_away(kind: str) -> None:
    token = "&token=t" if kind == "splunk+http" else ""
    with a_port_where_nobody_listens() as port, pytest.raises(ReceiverAway, match=str(port)):
        send(f"{kind}://{HOST}:{port}?name=s{token}", items(1))


@pytest.mark.parametrize("kind", ["syslog+tcp", "http"])
def test_a_name_that_no_host_can_have_is_a_receiver_that_is_away(kind: str) -> None:
    with pytest.raises(ReceiverAway):
        send(f"{kind}://{'a' * 70}.example.com?name=s&timeout=1", items(1))


# http


def test_a_batch_is_signed_with_its_time_and_its_id(web: WebReceiver) -> None:
    send(f"http://{HOST}:{web.port}/in/x?name=s&secret=canary&token=bearer", items(2), "siem-0-1-2")
    (posted,) = web.taken
    assert posted.path == "/in/x"
    headers = posted.headers
    assert (headers["webhook-id"], headers["idempotency-key"]) == ("siem-0-1-2", "siem-0-1-2")
    assert headers["authorization"] == "Bearer bearer"
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["content-encoding"] == "gzip"
    signed = f"siem-0-1-2.{headers['webhook-timestamp']}.".encode() + posted.raw
    expected = base64.b64encode(hmac.new(b"canary", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 300
    assert posted.sequences == [1, 2]


def test_keys_as_standard_webhooks_writes_them_are_base64(web: WebReceiver) -> None:
    key = base64.b64encode(b"k" * 24).decode()
    send(f"http://{HOST}:{web.port}/?name=s&gzip=0&secret=whsec_{key}", items(1), "id")
    (posted,) = web.taken
    assert "content-encoding" not in posted.headers
    signed = f"id.{posted.headers['webhook-timestamp']}.".encode() + posted.body
    expected = base64.b64encode(hmac.new(b"k" * 24, signed, hashlib.sha256).digest()).decode()
    assert posted.headers["webhook-signature"] == f"v1,{expected}"


def test_https_is_verified(web: WebReceiver, certificate: Certificate) -> None:
    web.secure(certificate)
    with pytest.raises(ReceiverAway, match="certificate verify failed"):
        send(f"https://{HOST}:{web.port}/?name=s", items(1))
    assert web.posted == []
    send(f"https://{HOST}:{web.port}/?name=s&ca={certificate.cert}", items(1))
    assert web.sequences == [1]


@pytest.mark.parametrize("status", [500, 422])
@pytest.mark.parametrize(
    "url",
    ["http://{at}/canary?name=s&secret=canary&token=canary", "splunk+http://{at}?name=s&token=canary"],
)
def test_an_error_shows_no_secret_though_the_receiver_says_it_back(web: WebReceiver, url: str, status: int) -> None:
    def say_it_back(posted: Posted) -> Answer:
        return Answer(status, f"{'x' * 440} {posted.path} {dict(posted.headers)}".encode())

    web.answer = say_it_back
    with pytest.raises((ReceiverAway, EntriesRejected)) as failed:
        send(url.format(at=f"{HOST}:{web.port}"), items(1))
    assert "canar" not in str(failed.value)


@pytest.mark.parametrize(
    ("begins", "drips"),
    [(b"HTTP/1.1 200 OK\r\nX: ", b"y"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["header", "continue"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.timeout(30)
def test_an_answer_whose_head_has_no_end_is_not_waited_for(
    web: WebReceiver, certificate: Certificate, scheme: str, begins: bytes, drips: bytes
) -> None:
    if scheme == "https":
        web.secure(certificate)
    ca = f"&ca={certificate.cert}" if scheme == "https" else ""
    web.answer = lambda posted: Answer(body=begins, drips=drips)
    with pytest.raises(ReceiverAway, match="timed out"):
        send(f"{scheme}://{HOST}:{web.port}/?name=s&timeout=1{ca}", items(1))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
def test_a_batch_is_taken_whatever_is_said_beside_200(web: WebReceiver, encoding: str) -> None:
    web.answer = lambda posted: Answer(200, b"\0\xffgarbage", headers={"Content-Encoding": encoding})
    send(f"http://{HOST}:{web.port}/?name=s", items(1))


def test_an_entry_with_an_outcome_that_somebody_has_bent_is_sent(web: WebReceiver, syslog: SyslogReceiver) -> None:
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s", items(1, outcome="fine"))
    assert syslog.messages[0].startswith(b"<107>1 ")
    send(f"otlp+http://{HOST}:{web.port}?name=o", items(1, outcome="fine"))
    assert len(web.taken) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        ("999999", 3600.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1e9", None),
    ],
)
def test_retry_after_is_read_and_bounded(text: str | None, seconds: float | None) -> None:
    assert retry_after(text) == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_receiver_that_sends_us_elsewhere_is_not_followed(web: WebReceiver, status: int) -> None:
    web.answer = lambda posted: Answer(status, headers={"Location": f"http://{HOST}:{web.port}/elsewhere"})
    with pytest.raises((ReceiverAway, EntriesRejected)):
        send(f"http://{HOST}:{web.port}/?name=s", items(1))
    assert [posted.path for posted in web.posted] == ["/"]


def test_retry_after_may_be_a_date() -> None:
    assert 50 < (retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) or 0) <= 60
    assert retry_after(format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)) == 0.0


# Splunk


@pytest.mark.parametrize("format", FORMATS)
def test_splunk_gets_an_event_for_each_entry(web: WebReceiver, format: str) -> None:
    send(f"splunk+http://{HOST}:{web.port}?name=s&token=hec-token&index=audit&format={format}", items(2, format))
    (posted,) = web.taken
    assert posted.path == "/services/collector/event"
    assert posted.headers["authorization"] == "Splunk hec-token"
    first, second = posted.lines
    assert (first["sourcetype"], first["index"], first["time"]) == (f"erlmcp:{format}", "audit", 1795521600.251)
    assert (first["fields"]["sequence"], second["fields"]["sequence"]) == ("1", "2")
    assert isinstance(first["event"], str if format == "cef" else dict)


@pytest.mark.parametrize(("code", "error"), [(6, EntriesRejected), (12, EntriesRejected), (7, ReceiverAway)])
def test_splunk_says_whether_it_is_the_event_or_the_index(web: WebReceiver, code: int, error: type[Exception]) -> None:
    web.answer = lambda posted: Answer(400, orjson.dumps({"text": "no", "code": code, "invalid-event-number": 0}))
    with pytest.raises(error, match="no"):
        send(f"splunk+http://{HOST}:{web.port}?name=s&token=t", items(1))


def test_splunk_that_refuses_the_token_or_is_busy_is_away(web: WebReceiver) -> None:
    for status, code in ((403, 4), (503, 9), (400, "x")):
        answer = Answer(status, orjson.dumps({"code": code}))
        web.answer = lambda posted, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(ReceiverAway):
            send(f"splunk+http://{HOST}:{web.port}?name=s&token=t", items(1))


# OpenTelemetry


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
