"""How log lines look: one line a record, in UTC; what a client sent cannot forge another line or leave a secret."""

import logging
import sys
import threading
import time
from types import TracebackType

from audit_app.redaction import redacted_text

CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
ESCAPES = {code: f"\\u{code:04x}" for code in CONTROLS}


log = logging.getLogger(__name__)


class LineFormatter(logging.Formatter):
    """`2026-11-23T17:03:21.123Z INFO name: message`; only a traceback adds lines, and those are indented."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = redacted_text(record.message).translate(ESCAPES)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:
        lines = redacted_text(super().formatException(ei)).splitlines()  # type: ignore[arg-type]  # the stub's exc_info alias is private
        return "\n".join(f"  {line.translate(ESCAPES)}" for line in lines)


def log_uncaught() -> None:
    """Have what nobody catches end in the log like everything else, unless somebody else has seen to that."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _log_end
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_thread


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log.critical("the process ends: nobody expected this", exc_info=(kind, error, traceback))


def _log_thread(uncaught: threading.ExceptHookArgs) -> None:
    if uncaught.exc_value is not None:
        name = uncaught.thread.name if uncaught.thread else "?"
        told = (uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
        log.critical("thread %s ends: nobody expected this", name, exc_info=told)
