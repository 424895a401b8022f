"""Links pass on, break, hold and strike as they are told."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.chaos.links import Link, Trap, Ways

SECONDS = 20


@pytest.fixture
def arrived() -> list[bytes]:
    """What has got to the server."""
    return []


@pytest.fixture
def link(arrived: list[bytes]) -> Iterator[Link]:
    """A link to a server that answers each piece with the same in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as server, Ways() as ways:
        threading.Thread(target=_serve, args=[server, arrived], daemon=True).start()
        yield ways.link(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, arrived: list[bytes]) -> None:
    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(100):
                arrived.append(data)
                connection.sendall(data.upper())
            connection.close()

    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=SECONDS)


def ask(connection: socket.socket, text: bytes) -> bytes:
    """The answer; empty when the connection is gone."""
    try:
        connection.sendall(text)
        return connection.recv(100)
    except ConnectionError:
        return b""


def test_what_is_sent_gets_there_and_back(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection, b"one") == b"ONE"


def test_a_cut_breaks_what_is_open_and_what_is_new_until_it_is_healed(link: Link) -> None:
    with connect(link) as before:
        assert ask(before, b"one") == b"ONE"
        link.cut()
        assert ask(before, b"two") == b""
    with connect(link) as during:
        assert ask(during, b"three") == b""
    link.heal()
    with connect(link) as after:
        assert ask(after, b"four") == b"FOUR"


def test_silence_holds_everything_and_breaks_nothing(link: Link) -> None:
    with connect(link) as before:
        assert ask(before, b"one") == b"ONE"
        link.silence()
        with connect(link) as during:
            for connection in (before, during):
                connection.sendall(b"two")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(100)
                connection.settimeout(SECONDS)
            link.heal()
            assert before.recv(100) == during.recv(100) == b"TWO"


@pytest.mark.parametrize(("when", "gets_there"), [("before", False), ("after", True)])
def test_a_trap_strikes_at_the_message_that_was_chosen_and_once(
    link: Link, arrived: list[bytes], when: Literal["before", "after"], gets_there: bool
) -> None:
    at_the_strike: list[bytes] = []
    link.trap = trap = Trap(part=b"now", when=when, strike=lambda: at_the_strike.extend(arrived))
    with connect(link) as connection:
        assert ask(connection, b"not yet") == b"NOT YET"
        assert ask(connection, b"now") == b""
    assert trap.sprung.wait(SECONDS)
    assert at_the_strike == [b"not yet", b"now"][: 1 + gets_there] == arrived
    with connect(link) as connection:
        assert ask(connection, b"now") == b"NOW"
