"""What a sink posts to a web hook, and when it counts as taken."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from audit_app.sinks.receivers import EntriesRejected, ReceiverAway
from telemetry_app.patience import retry_after
from tests.audit.deliveries import items, send
from tests.audit.receivers import (
    HOST,
    Answer,
    Certificate,
    WebReceiver,
)


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


@pytest.mark.parametrize(
    ("begins", "drips"),
    [(b"HTTP/1.1 200 OK\r\nX: ", b"y"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["header", "continue"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.timeout(120)
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
