"""Secrets reach neither an entry nor a log line, wherever they were sent (quality 20)."""

import logging
import random

import orjson
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from audit_app.redaction import REDACTED, parse_redaction, redacted, redacted_text
from audit_app.trail import Entry, outbox_row
from erlmcp_site.environment import env_redaction
from erlmcp_site.logs.lines import LineFormatter

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiI3IiwiZXhwIjoxfQ.c2lnbmF0dXJlLW9mLXRoaXM"
PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "new_password", "Password1", "token", "access_token", "refresh", "client-secret", "API-Key"),
        *("apiKey", "x-api-key", "Authorization", "Set-Cookie", "cookie", "private key", "Idempotency-Key"),
    ],
)
def test_a_field_with_a_telling_name_is_left_out(name: str) -> None:
    details = {"kept": 1, "deep": [{name: PASSWORD}, {name: {"any": [PASSWORD]}}]}
    assert redacted(details) == {"kept": 1, "deep": [{name: REDACTED}, {name: REDACTED}]}


@pytest.mark.parametrize("name", ["fields", "family", "kid", "why", "version", "users", "keys"])
def test_what_tells_nothing_stays(name: str) -> None:
    assert redacted({name: "value"}) == {name: "value"}


def test_a_yes_or_no_is_no_secret() -> None:
    assert redacted({"must_change_password": True}) == {"must_change_password": True}


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        f"Bearer {JWT}",
        f"id_{JWT}",
        "bearer abcdef0123456789",
        "password=hunter22",
        '{"password":"hunter22"}',
        "Token: abc123def",
        "cannot reach postgres://erlmcp:hunter2-in-a-url@db.example/erlmcp",
        "redis://:hunter2-in-a-url@127.0.0.1:6379/0",
        "GET /admin/ erlmcp_admin=0123456789abcdef",
    ],
)
def test_what_looks_like_a_secret_is_left_out_of_any_text(secret: str, dice: random.Random) -> None:
    hidden = secret.split()[-1].split("=")[-1].strip('{"}').removeprefix('password":"')
    hidden = hidden.rpartition("@")[0].rpartition(":")[2] or hidden
    around = "".join(dice.choices("abc /?&:", k=dice.randrange(20)))
    text = f"{around} {secret}"
    assert hidden not in redacted_text(text)
    entry = Entry(
        timestamp=0.0,
        action=text,
        transport="rest",
        user=text,
        resource_id=text,
        user_agent=text,
        session_id=text,
        request_id=text,
    )
    row = outbox_row(entry, None, {"said": text, text: [text]})
    assert row is not None
    assert hidden not in row[1]
    assert orjson.loads(row[1])["transport"] == "rest"


@pytest.mark.parametrize("text", ["eyJ" * 300_000, "-----BEGIN" + "PRIVATE" * 100_000, "bearer " * 100_000])
def test_a_text_that_nearly_looks_like_a_secret_all_along_is_soon_read(text: str) -> None:
    """Looked at again from each place in it, it would keep the writer's thread for hours."""
    assert redacted_text(text) == text


@pytest.mark.parametrize("text", ["resource://demo.local/keys/1", "curl/8.5", "eyJ", "the secret of success", "basic"])
def test_what_does_not_look_like_one_stays(text: str) -> None:
    assert redacted_text(text) == text


def test_own_names_and_patterns_are_taken(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("AUDIT_REDACT", "salary*, /[0-9]{3}-[0-9]{2}-[0-9]{4}/")
    settings.AUDIT_REDACT = env_redaction("AUDIT_REDACT")
    assert redacted({"salary_2026": 1, "note": "id 123-45-6789", "password": "p"}) == {
        "salary_2026": REDACTED,
        "note": f"id {REDACTED}",
        "password": "p",
    }
    row = outbox_row(Entry(timestamp=0.0, action="a", transport="rest", user_agent="123-45-6789"), None, None)
    assert row is not None
    kept = orjson.loads(row[1])
    # four digits may stand in an id by chance
    del kept["id"]
    assert kept["user_agent"] == REDACTED and "6789" not in str(kept)


@pytest.mark.parametrize("text", ["/(/", "/x", "a,/.*/"])
def test_a_pattern_that_is_none_stops_the_start_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AUDIT_REDACT", text)
    with pytest.raises(ImproperlyConfigured, match="AUDIT_REDACT"):
        env_redaction("AUDIT_REDACT")


def test_nothing_named_leaves_the_shapes() -> None:
    redaction = parse_redaction("")
    assert redaction.shapes.search(JWT)
    assert not redaction.names.fullmatch("password")


def test_a_value_nested_without_end_is_cut() -> None:
    value: object = "deep"
    for _ in range(5_000):
        value = [value]
    assert REDACTED in str(redacted(value))


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_log_lines_and_tracebacks_have_no_secret_either(form: str) -> None:
    formatter = LineFormatter(form)
    made = logging.LogRecord("test", logging.ERROR, __file__, 1, "of %s\r\n\x1b[2J\0", (f"Bearer {JWT}",), None)
    try:
        raise ValueError(f"password={PASSWORD.split()[0]} {JWT}")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    text = formatter.format(made)
    assert JWT not in text and "password=correct" not in text
    assert REDACTED in text and all(line.isprintable() for line in text.splitlines())
