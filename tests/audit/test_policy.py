"""Rules say how much the trail keeps; what security needs is kept whole, whatever they say."""

import orjson
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from audit_app.errors import InvalidParams
from audit_app.policy import Level, level_of, parse_rule
from audit_app.trail import Entry, outbox_row
from erlmcp_site.environment import env_policy
from sessions_app.errors import Forbidden

URI = "resource://demo.local/a"


def rules(settings: Settings, *texts: str) -> None:
    settings.AUDIT_POLICY = tuple(map(parse_rule, texts))


def kept(action: str, refusal: Forbidden | InvalidParams | None = None) -> dict[str, object] | None:
    entry = Entry(timestamp=0.0, action=action, transport="rest", user="alice", resource_id=URI, source_ip="::1")
    row = outbox_row(entry, refusal, {"version": 3})
    record: dict[str, object] | None = orjson.loads(row[1]) if row else None
    return record


def test_without_rules_everything_is_kept(settings: Settings) -> None:
    assert level_of("resources/read", URI) is Level.FULL
    assert (kept("resources/read") or {})["details"] == {"version": 3}


def test_the_first_rule_that_matches_decides(settings: Settings) -> None:
    rules(settings, "resources/read@resource://demo.local/*=metadata", "resources/write=full", "resources/*=off")
    assert level_of("resources/read", URI) is Level.METADATA
    assert level_of("resources/read", "resource://other.local/a") is Level.OFF
    assert level_of("resources/write", URI) is Level.FULL
    assert level_of("resources/delete", URI) is Level.OFF
    assert level_of("subscriptions/get", URI) is Level.FULL


def test_an_exact_uri_is_no_prefix(settings: Settings) -> None:
    rules(settings, f"*@{URI}=off")
    assert level_of("resources/read", URI) is Level.OFF
    assert level_of("resources/read", URI + "b") is Level.FULL


def test_metadata_keeps_who_and_what_without_details(settings: Settings) -> None:
    rules(settings, "resources/*=metadata")
    record = kept("resources/write") or {}
    assert (record["user"], record["action"], record["resource_id"]) == ("alice", "resources/write", URI)
    assert (record["source_ip"], record["details"]) == ("::1", {})


def test_nothing_is_kept_of_what_is_off(settings: Settings) -> None:
    rules(settings, "resources/*=off")
    assert kept("resources/write") is None
    assert kept("resources/write", InvalidParams()) is None


@pytest.mark.parametrize("action", ["auth/login", "sessions/get", "access/grant", "audit/list"])
def test_a_rule_for_everything_passes_over_security(settings: Settings, action: str) -> None:
    rules(settings, "*=off")
    assert (kept(action) or {})["details"] == {"version": 3}


def test_what_security_refused_is_kept_of_any_method(settings: Settings) -> None:
    rules(settings, "resources/*=off")
    assert (kept("resources/write", Forbidden()) or {})["code"] == "forbidden"


@pytest.mark.parametrize(
    "text",
    [
        *("auth/*=off", "auth/login=metadata", "audit/list@x=off", "sessions/*@resource://a/*=metadata"),
        *(
            "resources/read",
            "resources/read=loud",
            "=off",
            "resources/*@=off",
            "res*/read=off",
            "resources/read@a*b=off",
        ),
    ],
)
def test_a_rule_that_cannot_hold_stops_the_start_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AUDIT_POLICY", f"resources/list=off,{text}")
    with pytest.raises(ImproperlyConfigured, match="AUDIT_POLICY"):
        env_policy("AUDIT_POLICY")


def test_rules_are_read_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_POLICY", " resources/read@resource://a/* = metadata , resources/*=off ")
    assert list(map(str, env_policy("AUDIT_POLICY"))) == ["resources/read@resource://a/*=metadata", "resources/*=off"]


def test_made_up_methods_do_not_fill_the_memory(settings: Settings) -> None:
    rules(settings, "resources/read=off")
    for number in range(5_000):
        assert level_of(f"made/up{number}", "") is Level.FULL
