"""Entries as other programs read them: what their schemas require is there, and no client can forge a line."""

import re
import tomllib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from audit_app.formats import FORMATS
from audit_app.formats.record import VERSION

ID = "0199c0de-0000-7000-8000-000000000001"
CONTROLLED = (
    "user_id",
    "user",
    "action",
    "code",
    "resource_type",
    "resource_id",
    "source_ip",
    "user_agent",
    "session_id",
    "request_id",
    "transport",
)
"""Where a text of a client may stand."""

FORGERIES = (
    "a\r\nCEF:0|erlmcp|erlmcp|1|forged|forged|1|",
    'a\n{"id":"forged"}',
    "\x1b[2J\x1b[1;31mforged\x1b[0m",
    "\x9b31mforged\x9c",
    "a\0b",
    "line\u2028separator\u2029and\x85next",
    'quote " bracket ] backslash \\ pipe | equals = ',
    "\\",
    "x" * 1_000_000,
    "ä" * 100_000,
    "\u202egnp.exe",
)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

BASE = {
    "class_uid",
    "category_uid",
    "activity_id",
    "type_uid",
    "time",
    "severity_id",
    "metadata.version",
    "metadata.product.name",
}
REQUIRED: dict[int, set[str]] = {
    3002: BASE | {"user"},
    3003: BASE | {"user"},
    3004: BASE | {"entity"},
    6002: BASE | {"app.name"},
    6003: BASE | {"actor", "api.operation", "src_endpoint"},
    6005: BASE | {"actor", "src_endpoint", "databucket.type_id"},
}
"""What OCSF 1.8 requires of a class: schema.ocsf.io/1.8.0/classes/, and of the objects in it."""

ONE_OF: dict[str, set[str]] = {
    "user": {"uid", "name", "account"},
    "entity": {"uid", "name"},
    "actor": {"process", "user", "session", "app_name", "app_uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"},
}
ONE_OF_CLASS = {
    3002: {"service", "dst_endpoint"},
    3003: {"privileges", "groups", "iam_roles"},
    6005: {"database", "databucket", "table"},
}
ACTIVITIES = {
    3002: {1, 2, 3, 4, 5, 6, 7, 99},
    3003: {1, 2, 3, 99},
    3004: {1, 2, 3, 4, 99},
    6002: {3, 4, 99},
    6003: {1, 2, 3, 4, 99},
    6005: {1, 2, 5, 6, 7, 8, 99},
}


def entry(**fields: Any) -> dict[str, Any]:
    """An entry as `entry_json` shows it."""
    return {
        "id": ID,
        "sequence": 7,
        "timestamp": datetime(2026, 11, 24, 12, 30, 15, 250_000, tzinfo=UTC),
        "queue": "data",
        "user_id": "3",
        "user": "alice",
        "action": "resources/write",
        "outcome": "success",
        "resource_type": "resource",
        "resource_id": "resource://demo.local/notes/one",
        "details": orjson.Fragment(b'{"version":2}'),
        "source_ip": "192.0.2.1",
        "user_agent": "curl/8",
        "session_id": "s",
        "request_id": "r",
        "transport": "rest",
        "prev_hash": "0" * 64,
        "hash": "a" * 64,
    } | fields


def ocsf(**fields: Any) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(FORMATS["ocsf"](entry(**fields)))
    return event


def found(event: Any, path: str) -> Any:
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def assert_valid(event: dict[str, Any]) -> None:
    """All that OCSF requires of the event's class is there."""
    number = event["class_uid"]
    missing = [path for path in REQUIRED[number] if found(event, path) in (None, "", {}, [])]
    assert not missing, event
    assert event["category_uid"] == number // 1000
    assert event["type_uid"] == number * 100 + event["activity_id"]
    assert event["activity_id"] in ACTIVITIES[number]
    assert event["activity_id"] != 99 or event["activity_name"]
    assert number not in ONE_OF_CLASS or ONE_OF_CLASS[number] & set(event), event
    for name, choices in ONE_OF.items():
        assert name not in event or choices & set(event[name]), event
    assert all(isinstance(event[name], int) for name in ("time", "severity_id", "status_id", "activity_id"))


def cef_fields(text: str) -> tuple[list[str], dict[str, str]]:
    """The header and the extension of a line, unescaped as a receiver does."""
    *header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    marks = list(re.finditer(r"(?:^| )(\w+)=", extension))
    ends = [mark.start() for mark in marks[1:]] + [len(extension)]
    values = {mark[1]: extension[mark.end() : end] for mark, end in zip(marks, ends, strict=True)}
    return header, {key: re.sub(r"\\(.)", r"\1", value) for key, value in values.items()}


def test_the_product_says_its_version() -> None:
    assert tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_json_lines_are_what_the_api_shows() -> None:
    assert FORMATS["jsonl"](entry()) == orjson.dumps(entry(), option=orjson.OPT_UTC_Z)


def test_details_with_line_breaks_of_their_own_stay_on_their_line() -> None:
    kept = entry(details=orjson.Fragment(b'{\n\t"a": "b\\n",\r\n "c": 1}'))
    made = FORMATS["jsonl"](kept)
    assert not CONTROL.search(made.decode())
    assert orjson.loads(made) == orjson.loads(orjson.dumps(kept, option=orjson.OPT_UTC_Z))


@pytest.mark.parametrize(
    ("action", "fields", "number", "activity"),
    [
        ("auth/login", {}, 3002, 1),
        ("auth/code", {"resource_type": "user", "resource_id": "eve"}, 3002, 99),
        ("auth/enrol", {"resource_type": "user", "resource_id": "eve"}, 3004, 1),
        ("auth/withdraw", {"resource_type": "user", "resource_id": "eve"}, 3004, 4),
        ("auth/logout", {}, 3002, 2),
        ("auth/revoke", {}, 3002, 2),
        ("auth/refresh", {}, 3002, 99),
        ("auth/login", {"outcome": "refused", "code": "unauthenticated", "user": "", "user_id": ""}, 3002, 1),
        ("auth/keys", {"transport": "system", "resource_type": "key", "user": "", "user_id": ""}, 3004, 99),
        ("sessions/create", {}, 3003, 1),
        ("sessions/suspend", {"transport": "system", "user": "", "user_id": ""}, 3003, 99),
        ("resources/write", {"outcome": "refused", "code": "forbidden"}, 3003, 99),
        ("access/grant", {}, 3004, 1),
        ("access/revoke", {}, 3004, 4),
        ("access/list", {"resource_id": "", "resource_type": ""}, 3004, 2),
        ("access/user", {"details": orjson.Fragment('{"change":"added","name":"bob"}')}, 3004, 1),
        ("access/group", {"details": orjson.Fragment('{"change":"changed"}')}, 3004, 3),
        ("access/user", {"details": orjson.Fragment('{"change":["no","text"]}')}, 3004, 99),
        ("access/first_users", {"transport": "system", "user": "", "user_id": "", "resource_id": ""}, 3004, 99),
        ("resources/read", {}, 6005, 1),
        ("resources/patch", {}, 6005, 2),
        ("resources/write", {}, 6005, 5),
        ("resources/batch", {"resource_id": ""}, 6005, 5),
        ("resources/create", {}, 6005, 6),
        ("resources/delete", {}, 6005, 7),
        ("resources/list", {"resource_id": ""}, 6005, 8),
        ("subscriptions/create", {}, 6003, 1),
        ("subscriptions/delete", {}, 6003, 4),
        ("events/poll", {}, 6003, 2),
        ("events/ack", {}, 6003, 3),
        ("audit/list", {"queue": "security"}, 6003, 2),
        ("audit/checkpoint", {"transport": "system", "source_ip": "", "user": "", "user_id": ""}, 6003, 99),
        ("nonsense", {"outcome": "refused", "code": "method_not_found", "source_ip": "[bad", "user": ""}, 6003, 99),
        ("node/start", {"transport": "system", "source_ip": "", "user": "", "user_id": ""}, 6002, 3),
        ("node/stop", {"transport": "system", "source_ip": "", "user": "", "user_id": ""}, 6002, 4),
        ("node/drain", {"transport": "system", "source_ip": "", "user": "", "user_id": ""}, 6002, 99),
        ("audit/policy", {"transport": "admin", "queue": "security"}, 3004, 3),
        ("audit/sinks", {"transport": "system", "resource_type": "sink", "resource_id": "siem", "user": ""}, 3004, 3),
        ("node/stop", {"outcome": "refused", "code": "method_not_found"}, 6003, 99),
    ],
)
def test_every_action_is_an_event_of_its_class(action: str, fields: Any, number: int, activity: int) -> None:
    event = ocsf(action=action, **fields)
    assert (event["class_uid"], event["activity_id"]) == (number, activity)
    assert_valid(event)


def test_an_ocsf_event_says_who_did_what_when_and_how_it_ended() -> None:
    event = ocsf(outcome="refused", code="version_conflict")
    assert event["metadata"]["uid"] == ID
    assert event["metadata"]["sequence"] == 7
    assert event["metadata"]["version"] == "1.8.0"
    assert event["time"] == 1_795_523_415_250
    assert (event["status_id"], event["status_code"], event["severity_id"]) == (2, "version_conflict", 2)
    assert event["actor"]["user"] == {"uid": "3", "name": "alice"}
    assert event["src_endpoint"] == {"ip": "192.0.2.1"}
    assert event["databucket"]["uid"] == "resource://demo.local/notes/one"
    unmapped = event["unmapped"]
    assert (unmapped["prev_hash"], unmapped["hash"], unmapped["details"]) == ("0" * 64, "a" * 64, {"version": 2})


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({}, 1),
        ({"outcome": "refused", "code": "invalid_params"}, 2),
        ({"outcome": "refused", "code": "forbidden", "queue": "security"}, 3),
        ({"outcome": "error", "code": "internal_error"}, 3),
        ({"outcome": "refused", "code": "refresh_reused", "queue": "security"}, 4),
    ],
)
def test_severity_grows_with_what_it_means(fields: Any, severity: int) -> None:
    assert ocsf(**fields)["severity_id"] == severity


def test_a_failed_login_is_about_the_name_that_was_tried() -> None:
    event = ocsf(action="auth/login", outcome="refused", user="", user_id="", resource_type="user", resource_id="eve")
    assert event["user"] == {"name": "eve"}
    assert "user" not in event["actor"]


def test_ecs_has_what_dashboards_look_for() -> None:
    event = orjson.loads(FORMATS["ecs"](entry(outcome="refused", code="version_conflict")))
    assert event["@timestamp"] == "2026-11-24T12:30:15.250000Z"
    assert event["ecs"]["version"]
    assert event["event"] == {
        "id": ID,
        "sequence": 7,
        "kind": "event",
        "category": ["database"],
        "type": ["change"],
        "action": "resources/write",
        "outcome": "failure",
        "code": "version_conflict",
        "provider": "erlmcp",
        "module": "erlmcp",
        "dataset": "erlmcp.audit",
    }
    assert event["user"] == {"id": "3", "name": "alice"}
    assert event["source"] == {"address": "192.0.2.1", "ip": "192.0.2.1"}
    assert event["erlmcp"]["details"] == '{"version":2}'


@pytest.mark.parametrize(
    ("action", "transport", "category", "type_"),
    [
        ("auth/login", "rest", "authentication", "start"),
        ("auth/revoke", "rest", "authentication", "end"),
        ("auth/refresh", "rest", "authentication", "info"),
        ("sessions/close", "system", "session", "end"),
        ("access/grant", "admin", "iam", "creation"),
        ("resources/delete", "mcp", "database", "change"),
        ("resources/read", "rest", "database", "access"),
        ("subscriptions/delete", "rest", "api", "deletion"),
        ("audit/list", "rest", "api", "access"),
        ("node/start", "system", "process", "start"),
        ("node/start", "rest", "api", "info"),
        ("nonsense", "rest", "api", "info"),
    ],
)
def test_ecs_has_a_category_and_a_type_that_belong_together(
    action: str, transport: str, category: str, type_: str
) -> None:
    event = orjson.loads(FORMATS["ecs"](entry(action=action, transport=transport)))["event"]
    assert (event["category"], event["type"]) == ([category], [type_])


def test_ecs_calls_nothing_an_ip_that_is_none() -> None:
    event = orjson.loads(FORMATS["ecs"](entry(source_ip="unix:")))
    assert event["source"] == {"address": "unix:"}


def test_cef_escapes_what_its_header_and_its_extension_use() -> None:
    header, fields = cef_fields(
        FORMATS["cef"](entry(action="a|b\\c=d", user="x=y\\z | w", user_agent="a\r\nb")).decode()
    )
    assert header[0] == "CEF:0"
    assert len(header) == 7
    assert fields["suser"] == "x=y\\z | w"
    assert fields["act"] == "a|b\\c=d"
    assert FORMATS["cef"](entry(user_agent="a\r\nb")).decode().count("requestClientApplication=a\\r\\nb ") == 1
    assert (fields["rt"], fields["cn1"], fields["cn1Label"]) == ("1795523415250", "7", "sequence")


@pytest.mark.parametrize(("address", "key"), [("192.0.2.1", "src"), ("2001:db8::1", "c6a2"), ("nowhere", "shost")])
def test_cef_puts_an_address_where_its_kind_belongs(address: str, key: str) -> None:
    assert cef_fields(FORMATS["cef"](entry(source_ip=address)).decode())[1][key] == address


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", FORGERIES, ids=lambda text: repr(text[:12]))
def test_nothing_that_a_client_sends_forges_a_line(name: str, text: str) -> None:
    forged = dict.fromkeys(CONTROLLED, text) | {"details": orjson.Fragment(orjson.dumps({text: [text, {"a": text}]}))}
    made = FORMATS[name](entry(**forged)).decode()
    assert not CONTROL.search(made)
    assert_one_line(name, made)


@pytest.mark.parametrize("name", FORMATS)
@given(st.dictionaries(st.sampled_from(CONTROLLED), st.text(st.characters(exclude_categories=["Cs"])), max_size=11))
def test_no_text_at_all_does(name: str, fields: dict[str, str]) -> None:
    made = FORMATS[name](entry(**fields)).decode()
    assert not CONTROL.search(made)
    assert_one_line(name, made)


def assert_one_line(name: str, made: str) -> None:
    """It is one line, of the entry that it was made of."""
    if name == "cef":
        header, fields = cef_fields(made)
        assert (len(header), header[0], header[1], fields["externalId"], fields["cn1"]) == (
            7,
            "CEF:0",
            "erlmcp",
            ID,
            "7",
        )
        return
    event = orjson.loads(made)
    assert ID in (event.get("id"), found(event, "metadata.uid"), found(event, "event.id"))
    if name == "ocsf":
        assert_valid(event)
