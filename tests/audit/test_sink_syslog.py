"""What a sink sends by syslog (RFC 5424), over TCP and TLS, and when it counts as taken."""

import re

import orjson
import pytest

from audit_app.formats import FORMATS
from audit_app.sinks.receivers import ReceiverAway
from tests.audit.deliveries import items, send
from tests.audit.receivers import (
    HOST,
    Certificate,
    SyslogReceiver,
)
from tests.stack.waiting import wait_until

FORGED = 'a"]\\\r\n\x1b[31m\0<13>1 - - - - - - forged\u2028'
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
    wait_until(lambda: len(syslog.messages) == 4, 30, "the messages that TCP has")
