"""What a sink posts to Splunk's HTTP event collector, and what becomes of its answers."""

import orjson
import pytest

from audit_app.formats import FORMATS
from audit_app.sinks.receivers import EntriesRejected, ReceiverAway
from tests.audit.deliveries import items, send
from tests.audit.receivers import (
    HOST,
    Answer,
    WebReceiver,
)


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
