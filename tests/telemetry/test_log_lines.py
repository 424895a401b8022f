"""Log lines: one JSON object each, or what people read; what a client sends cannot forge one, nor leave a secret."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from erlmcp_site.celery import Upkeep, app
from erlmcp_site.logs.lines import FIELDS, LineFormatter
from telemetry_app.tracing.context import continued
from telemetry_app.under_way import UnderWay, under_way

JSON = LineFormatter("json")
PRETTY = LineFormatter("pretty")
HOSTILE = "curl\r\nINFO admin logged in\x1b[2J\x7f\x9b\u0085\u2028"
ESCAPED = "curl\\u000d\\u000aINFO admin logged in\\u001b[2J\\u007f\\u009b\\u0085\\u2028"


def record(message: Any, *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("test", logging.INFO, __file__, 1, message, arguments, None)
    setattr(made, FIELDS, fields)
    return made


def failed(error: Exception) -> logging.LogRecord:
    made = record("failed")
    try:
        raise error
    except Exception as raised:
        made.exc_info = (type(raised), raised, raised.__traceback__)
    return made


def told(made: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = orjson.loads(JSON.format(made))
    return line


def test_a_record_is_one_json_object_that_has_what_it_says():
    made = record("user agent %s", "curl", left_out=3)
    made.created = 0.123
    line = told(made)
    assert line.pop("pid") > 0
    assert line == {
        "time": "1970-01-01T00:00:00.123Z",
        "level": "info",
        "logger": "test",
        "message": "user agent curl",
        "left_out": 3,
    }


def test_a_record_is_one_line_whatever_it_holds():
    made = record("user agent %s", HOSTILE, **{"sql": HOSTILE, HOSTILE: [HOSTILE]})
    text = JSON.format(made)
    assert text.isascii() and text.isprintable()
    assert orjson.loads(text)["message"] == f"user agent {HOSTILE}"
    assert orjson.loads(text)[HOSTILE] == [HOSTILE]
    pretty = PRETTY.format(record("user agent %s", HOSTILE, sql=HOSTILE))
    assert pretty.isprintable()
    assert f"user agent {ESCAPED}" in pretty and "sql=" in pretty


def test_letters_of_all_the_world_stay_as_they_are():
    assert told(record("größe 尺寸"))["message"] == "größe 尺寸"


def test_a_traceback_is_a_field_or_indented_for_people():
    line = told(failed(ValueError("one\nINFO two")))
    assert line["message"] == "failed"
    assert line["exception"].endswith("ValueError: one\nINFO two")
    first, *others = PRETTY.format(failed(ValueError("one\nINFO two\x1b[2J"))).splitlines()
    assert "failed" in first
    assert others[-1] == "  INFO two\\u001b[2J" and all(line.startswith("  ") for line in others)


@pytest.mark.parametrize("formatter", [JSON, PRETTY])
def test_no_field_and_no_traceback_holds_a_secret(formatter: LineFormatter):
    secret = "erlk_0123456789abcdef"

    class Holder:
        def __repr__(self) -> str:
            return f"<holder of {secret}>"

    made = record("of %s", f"Bearer {secret}", password="hunter2", agent=secret, plan=[{"a": secret}], o=Holder())
    text = formatter.format(made) + formatter.format(failed(ValueError(f"password=hunter2 {secret}")))
    assert secret not in text and "hunter2" not in text
    assert text.count("[redacted]") >= 6


def test_a_line_bears_the_ids_of_its_request_and_of_its_trace():
    trace = continued(None)
    outside = under_way.set(UnderWay("r-1", trace, "s-1"))
    try:
        line = told(record("now"))
    finally:
        under_way.reset(outside)
    ids = {"request_id": "r-1", "session_id": "s-1", "trace_id": trace.trace_id, "span_id": trace.span_id}
    assert ids.items() <= line.items()
    assert not ids.keys() & told(record("later")).keys()


def test_a_line_of_a_task_bears_its_name_and_id_and_its_trace():
    lines: list[dict[str, Any]] = []

    class Telling(Upkeep):
        name = "test.tell"

        def run(self) -> None:
            lines.append(told(record("from within")))

    task = app.register_task(Telling())
    try:
        task.apply(task_id="t-1")
    finally:
        app.tasks.unregister(task)
    (line,) = lines
    assert (line["task"], line["task_id"]) == ("test.tell", "t-1")
    assert len(line["trace_id"]) == 32 and len(line["span_id"]) == 16
    assert "task" not in told(record("afterwards"))


def test_what_libraries_hang_on_a_record_is_not_told():
    made = record("Not Found: %s", "/x")
    made.request = "<WSGIRequest: GET '/x?password=hunter2'>"
    assert "request" not in told(made)


def program(tmp_path: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    start = f"""
import logging, os, threading, warnings
os.environ.update(DJANGO_SETTINGS_MODULE="erlmcp_site.settings", VAR_DIR={str(tmp_path)!r}, **{environment!r})
import django
django.setup()
SECRET = "redis://me:hunter2@host\\n2026-01-01T00:00:00.000Z INFO root: admin logged in"
"""
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", start + text], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_nobody_catches_leaves_no_secret_and_forges_no_line_and_everybody_logs_alike(tmp_path: Path) -> None:
    """Where standard error is no terminal, lines are JSON: what ends a thread, what ends the process, warnings."""
    ended = program(
        tmp_path,
        """
for name in ("django.request", "asyncio", "grpc._server", "celery.worker", "uvicorn.error", "erlmcp_site.node"):
    logging.getLogger(name).error("%s says %s", name, SECRET)
warnings.warn("deprecated, " + SECRET)
thread = threading.Thread(target=lambda: int(SECRET)); thread.start(); thread.join()
raise RuntimeError(SECRET)
""",
        LOG_LEVEL="WARNING",
    )
    lines = [orjson.loads(line) for line in ended.stderr.splitlines()]
    assert [line["logger"] for line in lines] == [
        *("django.request", "asyncio", "grpc._server", "celery.worker", "uvicorn.error", "erlmcp_site.node"),
        *("py.warnings", "erlmcp_site.logs.uncaught", "erlmcp_site.logs.uncaught"),
    ]
    assert all("nobody expected this" in line["message"] and "exception" in line for line in lines[-2:])
    assert "hunter2" not in ended.stderr and ended.returncode == 1


def test_lines_for_people_are_a_choice(tmp_path: Path) -> None:
    ended = program(tmp_path, "logging.getLogger('x').warning('a line')", LOG_FORMAT="pretty")
    assert "a line" in ended.stderr and "{" not in ended.stderr and "\x1b" not in ended.stderr
