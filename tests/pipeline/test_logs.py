"""What a client sends cannot forge a log line."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from erlmcp_site.logs import LineFormatter

FORMATTER = LineFormatter("{levelname} {message}", style="{")


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, message, arguments, None)


def test_a_record_is_one_line_whatever_it_holds():
    line = FORMATTER.format(record("user agent %s", "curl\r\nINFO admin logged in\x1b[2J\u2028"))
    assert line == "INFO user agent curl\\u000d\\u000aINFO admin logged in\\u001b[2J\\u2028"


def test_times_are_in_utc():
    made = record("now")
    made.created, made.msecs = 0.0, 0.0
    assert FORMATTER.formatTime(made) == "1970-01-01T00:00:00.000Z"


def test_a_traceback_is_indented():
    made = record("failed")
    try:
        raise ValueError("one\nINFO two")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    lines = FORMATTER.format(made).splitlines()
    assert lines[0] == "INFO failed"
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.parametrize(
    "failing",
    [
        "raise RuntimeError(SECRET)",
        "thread = threading.Thread(target=lambda: int(SECRET)); thread.start(); thread.join()",
    ],
)
def test_what_nobody_catches_leaves_no_secret_and_forges_no_line(failing: str, tmp_path: Path) -> None:
    program = f"""
import os, threading
os.environ.update(DJANGO_SETTINGS_MODULE="erlmcp_site.settings", VAR_DIR={str(tmp_path)!r})
import django
django.setup()
SECRET = "redis://me:hunter2@host\\n2026-01-01T00:00:00.000Z INFO root: admin logged in"
{failing}
"""
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert "nobody expected this" in ended.stderr and "hunter2" not in ended.stderr
    assert not [
        line for line in ended.stderr.splitlines() if line.endswith("INFO root: admin logged in") and line[0] == "2"
    ]
