"""Celery's broker where there is no Redis: a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

from erlmcp_site.serving import file_broker

QUEUE = Queue("celery")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    file_broker.prepare_broker(tmp_path)
    options = file_broker.broker_options(tmp_path)
    with Connection(transport=file_broker.TRANSPORT, transport_options=options) as opened:
        yield opened


def test_a_message_is_taken_once(connection: Connection):
    taken: list[object] = []
    connection.Producer().publish({"task": "move"}, routing_key=QUEUE.name, declare=[QUEUE])
    with connection.Consumer(QUEUE, callbacks=[lambda body, message: taken.append(body)], no_ack=True):
        connection.drain_events(timeout=30)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=30)
    assert taken == [{"task": "move"}]


@pytest.mark.timeout(60)
def test_who_waits_for_a_message_for_long_is_asked_to_look_up_meanwhile(connection: Connection):
    """A worker that is told to end hears it then."""
    with connection.Consumer(QUEUE, callbacks=[], no_ack=True), pytest.raises(TimeoutError):
        connection.drain_events(timeout=3_600)
