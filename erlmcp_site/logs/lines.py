"""How log lines look: one JSON object a line, or what people read on a terminal (docs/logging.md).

What a client sent cannot forge another line or leave a secret, in either form.
"""

import time
from collections.abc import Mapping, MutableMapping
from functools import cache, lru_cache
from os import getpid, register_at_fork
from typing import Any

import orjson
from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import format_exc_info
from structlog.stdlib import ProcessorFormatter

from audit_app.redaction import redacted
from telemetry_app.tracing.context import current
from telemetry_app.under_way import under_way

CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
ESCAPES = {code: f"\\u{code:04x}" for code in CONTROLS}

FIELDS = "fields"
"""What a line of ours says beside its message: `extra={FIELDS: {…}}`. Other extras are left out: libraries put whole
requests there."""

PLAIN = (str, int, float, list, tuple, dict, type(None))


class LineFormatter(ProcessorFormatter):
    """Every record of the process, whoever has logged it, as one line (without its end).

    The form is `json` or `pretty`; of the latter a traceback adds lines, and those are indented.
    """

    def __init__(self, form: str, *, colors: bool = False) -> None:
        self._console = None if form == "json" else console(colors)
        super().__init__(processors=[merge_contextvars, format_exc_info, _with_record, self._finished])

    def line(self, fields: Mapping[str, Any]) -> str:
        """Fields as a line."""
        return json_line(fields) if self._console is None else pretty_line(fields, self._console)

    def _finished(self, logger: object, name: str, fields: MutableMapping[str, Any]) -> str:
        return self.line(without_secrets(fields))


def _with_record(logger: object, name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The fields with what stands in every line first, and the ids of the request under way."""
    record = fields.pop("_record")
    del fields["_from_structlog"]
    first: dict[str, Any] = {
        "time": utc(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": fields.pop("event"),
        "pid": process_id(),
    }
    request = under_way.get()
    trace = current.get() if request is None else request.trace
    if request is not None:
        first |= {"request_id": request.request_id, "session_id": request.session_id}
    if trace is not None:
        first |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
    return {**first, **getattr(record, FIELDS, {}), **fields}


def without_secrets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields without what is secret by name or by look; what is no JSON value is told as Python shows it."""
    left: dict[str, Any] = redacted(
        {name: value if isinstance(value, PLAIN) else repr(value) for name, value in fields.items()}
    )
    return left


def json_line(fields: Mapping[str, Any]) -> str:
    """A JSON object, in which whatever a terminal or a reader of lines could take for a control is escaped."""
    text = orjson.dumps(fields, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    return text if text.isascii() and "\x7f" not in text else text.translate(ESCAPES)


def console(colors: bool) -> ConsoleRenderer:
    """What makes lines for people. The tracebacks of others than Python's own would show values of variables."""
    return ConsoleRenderer(
        colors=colors,
        pad_event_to=0,
        exception_formatter=plain_traceback,
        event_key="message",
        timestamp_key="time",
        sort_keys=False,
    )


def pretty_line(fields: Mapping[str, Any], renderer: ConsoleRenderer) -> str:
    """The same for people."""
    shown = {name: _escaped(value) for name, value in fields.items() if name != "pid"}
    if isinstance(traceback := fields.get("exception"), str):
        shown["exception"] = "\n".join(f"  {line.translate(ESCAPES)}" for line in traceback.splitlines())
    return str(renderer(None, "", shown))


@cache
def process_id() -> int:
    """Asking the system for it costs as much as the rest of a line."""
    return getpid()


register_at_fork(after_in_child=process_id.cache_clear)


def utc(seconds: float) -> str:
    """A Unix time as `2026-11-23T17:03:21.123Z`."""
    whole, thousandths = divmod(int(seconds * 1000), 1000)
    return f"{_utc_second(whole)}.{thousandths:03d}Z"


@lru_cache(8)
def _utc_second(seconds: int) -> str:
    # most lines are of the same second as the one before: making this costs 1.5 µs
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _escaped(value: Any) -> Any:
    return value.translate(ESCAPES) if isinstance(value, str) else value
