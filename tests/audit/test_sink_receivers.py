"""What receivers of every kind have in common."""

import pytest

from audit_app.sinks.receivers import EntriesRejected, ReceiverAway
from tests.audit.deliveries import items, send
from tests.audit.receivers import (
    HOST,
    Answer,
    Posted,
    SyslogReceiver,
    WebReceiver,
    a_port_where_nobody_listens,
)


@pytest.mark.parametrize("kind", ["syslog+tcp", "syslog+tls", "http", "splunk+http", "otlp+http"])
def test_nobody_there_is_a_receiver_that_is_away(kind: str) -> None:
    token = "&token=t" if kind == "splunk+http" else ""
    with a_port_where_nobody_listens() as port, pytest.raises(ReceiverAway, match=str(port)):
        send(f"{kind}://{HOST}:{port}?name=s{token}", items(1))


@pytest.mark.parametrize("kind", ["syslog+tcp", "http"])
def test_a_name_that_no_host_can_have_is_a_receiver_that_is_away(kind: str) -> None:
    with pytest.raises(ReceiverAway):
        send(f"{kind}://{'a' * 70}.example.com?name=s&timeout=1", items(1))


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


def test_an_entry_with_an_outcome_that_somebody_has_bent_is_sent(web: WebReceiver, syslog: SyslogReceiver) -> None:
    send(f"syslog+tcp://{HOST}:{syslog.port}?name=s", items(1, outcome="fine"))
    assert syslog.messages[0].startswith(b"<107>1 ")
    send(f"otlp+http://{HOST}:{web.port}?name=o", items(1, outcome="fine"))
    assert len(web.taken) == 1
