"""Syslog: RFC 5424 messages in octet-counted frames over TCP (RFC 6587 §3.4.1) or TLS (RFC 5425)."""

import fcntl
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Sequence
from datetime import UTC

from audit_app.formats.record import PRODUCT
from audit_app.models import AuditEntry
from audit_app.sinks.configuration import Target
from audit_app.sinks.receivers import Item, ReceiverAway
from audit_app.sinks.tls import tls_context

LOG_AUDIT = 13
SEVERITIES = {"success": 6, "refused": 4, "error": 3}
BENT = 3
"""The severity of an outcome that none can have: somebody has changed the entry."""
# the enterprise number that RFC 5612 keeps for documentation; nobody has asked IANA for one
ELEMENT = f"{PRODUCT}@32473"
POLL_SECONDS = 0.005

_NOT_PRINTED = re.compile("[^!-~]")
_ESCAPED = re.compile(r'(["\\\]])')
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Syslog:
    """A connection for each batch, because syslog has no answers.

    With `confirm`, the receiver is told that nothing more comes, and has taken everything once it closes in turn; by
    TLS, it must say so (close_notify). Without, the batch counts as taken when the receiver's kernel has it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seconds = target.numbers["timeout"]
        self._confirms = bool(target.numbers["confirm"])
        self._hostname = _NOT_PRINTED.sub("", socket.gethostname())[:255] or "-"

    def send(self, items: Sequence[Item], key: str) -> None:
        frames = b"".join(frame(item, self._hostname) for item in items)
        try:
            with self._connect() as connection:
                connection.settimeout(self._seconds)
                connection.sendall(frames)
                if not self._confirms:
                    _wait_for_kernel(connection, self._seconds)
                elif isinstance(connection, ssl.SSLSocket):
                    _end_tls(connection)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    _wait_for_end(connection, self._seconds)
        except OSError as error:
            raise ReceiverAway(f"{self._target.where}: {error.strerror or error}") from error
        except UnicodeError as error:
            raise ReceiverAway(f"{self._target.where}: it is no name of a host") from error

    def close(self) -> None:
        """Nothing stays open."""

    def _connect(self) -> socket.socket:
        target = self._target
        plain = socket.create_connection((target.host, target.port), timeout=self._seconds)
        if target.kind != "syslog+tls":
            return plain
        try:
            return tls_context(target).wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise


def frame(item: Item, hostname: str) -> bytes:
    """An entry as a message behind its length.

    The line follows without a byte order mark, which RFC 5424 wants before UTF-8 and which JSON parsers refuse; it
    counts as MSG-ANY then.
    """
    message = f"{header(item.entry, hostname)} ".encode() + item.line
    return b"%d %b" % (len(message), message)


def header(entry: AuditEntry, hostname: str) -> str:
    """PRI to STRUCTURED-DATA of RFC 5424 §6."""
    priority = LOG_AUDIT * 8 + SEVERITIES.get(entry.outcome, BENT)
    moment = entry.timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    action = _NOT_PRINTED.sub("", entry.action)[:32] or "-"
    data = f'[{ELEMENT} id="{_value(entry.id)}" sequence="{entry.sequence}"]'
    return f"<{priority}>1 {moment} {hostname} {PRODUCT} - {action} {data}"


def _value(text: str) -> str:
    return _ESCAPED.sub(r"\\\1", _CONTROLS.sub("", text))


def _wait_for_end(connection: socket.socket, seconds: float) -> None:
    """Return when the other side has closed in order. Raises TimeoutError, or ConnectionResetError when it broke."""
    until = time.monotonic() + seconds
    while connection.recv(4096):
        if time.monotonic() > until:
            raise TimeoutError("it sends, and does not close")


def _end_tls(connection: ssl.SSLSocket) -> None:
    """Exchange close_notify. Raises OSError when the other side ends without it."""
    try:
        connection.unwrap().close()
    except ssl.SSLEOFError:
        raise ConnectionResetError("it closed without close_notify; confirm=0 would trust TCP") from None


def _wait_for_kernel(connection: socket.socket, seconds: float) -> None:
    """Return when the other side's kernel has acknowledged every byte, where the system can tell."""
    until = time.monotonic() + seconds
    while sys.platform == "linux" and _unacknowledged(connection):
        if time.monotonic() > until:
            raise TimeoutError("it does not take what was sent")
        # the kernel has no event for it
        time.sleep(POLL_SECONDS)
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "the connection broke")


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes in the send queue: SIOCOUTQ of tcp(7), which is the same number as TIOCOUTQ."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
