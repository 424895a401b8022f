"""HTTP to receivers that may hang: no more patience for a whole answer than one send has."""

import contextlib
import http.client
import socket
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

MAX_RETRY_AFTER = 3600.0
MAX_ANSWER = 65_536


class Impatient(HTTPConnection):
    """A connection that waits so long for the head of an answer, and not so long for each byte of it."""

    def getresponse(self) -> Any:
        """The answer. Raises TimeoutError when its head has not come in time, and other OSErrors."""
        is_late = threading.Event()
        timer = threading.Timer(self.timeout or 0.0, _cut, (self.sock, is_late))
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except (OSError, http.client.HTTPException):
            if is_late.is_set():
                raise TimeoutError("the head of its answer did not come in time") from None
            raise
        finally:
            timer.cancel()
        if is_late.is_set():
            # what was cut off in the middle of its head looks like an answer
            raise TimeoutError("the head of its answer did not come in time")
        return response


class ImpatientTls(Impatient, HTTPSConnection):
    """The same over TLS."""


def beginning(response: urllib3.BaseHTTPResponse, seconds: float) -> bytes:
    """What has come of the answer within some seconds, and not more than is of use."""
    until = time.monotonic() + seconds
    answer = b""
    while len(answer) < MAX_ANSWER and time.monotonic() < until:
        # packed or not: we have not asked for it, and what says 200 may say the rest in whatever form
        chunk = response.read1(MAX_ANSWER, decode_content=False)
        if not chunk:
            return answer
        answer += chunk
    response.close()
    return answer


def retry_after(text: str | None) -> float | None:
    """Seconds that a Retry-After asks for, an hour at most; None when it says nothing that can be read."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else _until(text)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER)


def _until(text: str) -> float:
    moment = parsedate_to_datetime(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _cut(connection: socket.socket, is_late: threading.Event) -> None:
    """End a connection that somebody else waits for; that one wakes up."""
    is_late.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
