"""What a client sends cannot forge a log line."""

import logging

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
