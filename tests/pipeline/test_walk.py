"""Whatever is asked, the answer has the contract's code and exactly one audit entry before anybody sees it."""

from typing import Any

import pytest
from pytest_django import Settings

from erlmcp_site.methods.table import METHODS
from sessions_app.limits import MethodClass
from tests.pipeline.calls import URI, ask, body, code, entries_of, token_of

pytestmark = pytest.mark.usefixtures("running")

WRITE = {"uri": URI, "content": {"a": 1}}
READER_REFUSALS: dict[str, tuple[str, Any, str]] = {
    "params that are a list": ("resources/read", [1], "invalid_params"),
    "params that are missing": ("resources/read", {}, "invalid_params"),
    "a uri that is none": ("resources/read", {"uri": "nowhere"}, "invalid_uri"),
    "a uri that is a number": ("resources/read", {"uri": 5}, "invalid_uri"),
    "traversal": ("resources/read", {"uri": "resource://example.com/../a"}, "invalid_uri"),
    "a resource that is not there": ("resources/read", {"uri": URI}, "resource_not_found"),
    "history of what never was": ("resources/history", {"uri": URI}, "resource_not_found"),
    "a version of what never was": ("resources/read", {"uri": URI, "version": 1}, "resource_not_found"),
    "a version that cannot be": ("resources/read", {"uri": URI, "version": 0}, "invalid_params"),
    "a comparison of what never was": ("resources/diff", {"uri": URI, "from": 1, "to": 2}, "resource_not_found"),
    "a comparison with nothing": ("resources/diff", {"uri": URI, "to": 1}, "invalid_params"),
    "a write by a reader": ("resources/write", WRITE, "forbidden"),
    "a deletion by a reader": ("resources/delete", {"uri": URI}, "forbidden"),
    "a batch by a reader": (
        "resources/batch",
        {"operations": [{"method": "resources/write", "params": WRITE}]},
        "forbidden",
    ),
    "an empty batch": ("resources/batch", {"operations": []}, "invalid_params"),
    "a cursor that is none": ("resources/list", {"cursor": "!!"}, "invalid_params"),
    "a limit that is too large": ("resources/list", {"limit": 1001}, "invalid_params"),
    "a prefix with a null character": ("resources/list", {"prefix": "\0"}, "invalid_params"),
    "a consistency that is none": ("resources/read", {"uri": URI, "consistency": "maybe"}, "invalid_params"),
    "an offset that is none": ("resources/read", {"uri": URI, "after": 2**63}, "invalid_params"),
    "a subscription to what is not there": ("subscriptions/create", {"uri": URI}, "resource_not_found"),
    "a subscription from the future": ("subscriptions/create", {"uri": URI + "/*", "from": 10**6}, "reset"),
    "a subscription from nowhere": ("subscriptions/create", {"uri": URI + "/*", "from": "then"}, "invalid_params"),
    "a foreign subscription": ("subscriptions/get", {"subscription": "nope"}, "resource_not_found"),
    "a poll of nothing": ("events/poll", {"subscription": "nope"}, "resource_not_found"),
    "an ack of nothing": ("events/ack", {"subscription": "nope", "offset": 10**6}, "resource_not_found"),
    "following without a push": ("resources/subscribe", {"uri": URI + "/*"}, "method_not_found"),
    "the trail": ("audit/list", {}, "forbidden"),
    "the telemetry": ("telemetry/snapshot", {}, "forbidden"),
    "suspending": ("sessions/suspend", {"session": "nope"}, "forbidden"),
    "a session that never was": ("sessions/get", {"session": "nope"}, "resource_not_found"),
}

WRITER_REFUSALS: dict[str, tuple[str, Any, str]] = {
    "two contents": ("resources/write", WRITE | {"text": "b"}, "invalid_params"),
    "no content": ("resources/write", {"uri": URI}, "invalid_params"),
    "content that is too large": ("resources/write", {"uri": URI, "text": "a" * (1024 * 1024 + 1)}, "too_large"),
    "a mime type that is none": ("resources/write", WRITE | {"mime_type": "text"}, "invalid_params"),
    "a rule that is none": ("resources/write", WRITE | {"on_conflict": "fight"}, "invalid_params"),
    "a base of nothing": ("resources/write", WRITE | {"base_version": 3}, "version_conflict"),
    "a patch of nothing": ("resources/patch", {"uri": URI, "patch": {}}, "resource_not_found"),
    "a deletion of nothing": ("resources/delete", {"uri": URI}, "resource_not_found"),
    "a batch with a method that it does not take": (
        "resources/batch",
        {"operations": [{"method": "resources/read", "params": {"uri": URI}}]},
        "invalid_params",
    ),
    "a batch with a bad operation": (
        "resources/batch",
        {"operations": [{"method": "resources/write", "params": WRITE}, {"method": "resources/write", "params": {}}]},
        "invalid_params",
    ),
}


@pytest.mark.parametrize("name", READER_REFUSALS)
async def test_a_reader_is_refused(name: str) -> None:
    method, params, expected = READER_REFUSALS[name]
    await _is_refused(method, params, "bob", expected)


@pytest.mark.parametrize("name", WRITER_REFUSALS)
async def test_a_writer_is_refused(name: str) -> None:
    method, params, expected = WRITER_REFUSALS[name]
    await _is_refused(method, params, "alice", expected)


async def _is_refused(method: str, params: Any, user: str, expected: str) -> None:
    reply = await ask(method, params, await token_of(user))
    assert code(reply) == expected
    (entry,) = await entries_of(reply)
    assert (entry["action"], entry["user"], entry["outcome"], entry["code"]) == (method, user, "refused", expected)


async def test_an_unknown_method_leaves_an_entry_of_its_caller() -> None:
    reply = await ask("resources/explode", {}, await token_of("bob"))
    assert code(reply) == "method_not_found"
    (entry,) = await entries_of(reply)
    assert (entry["action"], entry["user"], entry["code"]) == ("resources/explode", "bob", "method_not_found")


@pytest.mark.parametrize("method", sorted(name for name, method in METHODS.items() if not method.public))
async def test_nobody_gets_anything_without_a_token(method: str) -> None:
    for token in (None, "nonsense", "a.b.c"):
        reply = await ask(method, {"uri": URI}, token)
        assert code(reply) == "unauthenticated"
        (entry,) = await entries_of(reply)
        assert (entry["user"], entry["code"]) == ("", "unauthenticated")


async def test_a_login_that_fails_leaves_its_entry_too() -> None:
    for name in ("alice", "nobody"):
        reply = await ask("auth/login", {"username": name, "password": "wrong"})
        assert code(reply) == "unauthenticated"
        (entry,) = await entries_of(reply)
        assert (entry["action"], entry["resource_id"], entry["outcome"]) == ("auth/login", name, "refused")
        assert "wrong" not in str(entry)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("resources/read", {}),
        ("resources/read", {"version": 1}),
        ("resources/history", {}),
        ("resources/diff", {"from": 1}),
    ],
)
async def test_unknown_and_forbidden_look_the_same_without_permission_to_read(method: str, more: dict) -> None:
    alice, new = await token_of("alice"), await token_of("new")
    await ask("resources/write", WRITE, alice)
    there, nowhere = await ask(method, {"uri": URI, **more}, new), await ask(method, {"uri": URI + "b", **more}, new)
    assert code(there) == code(nowhere) == "resource_not_found"
    assert there.refusal is not None and nowhere.refusal is not None
    assert there.refusal.message == nowhere.refusal.message
    assert [body(await ask("resources/list", {}, token))["resources"] == [] for token in (new, alice)] == [True, False]
    assert code(await ask("subscriptions/create", {"uri": URI}, new)) == "resource_not_found"


async def test_an_accepted_change_leaves_one_entry_with_what_it_did() -> None:
    alice = await token_of("alice")
    reply = await ask("resources/write", WRITE, alice)
    (entry,) = await entries_of(reply)
    assert (entry["user"], entry["resource_id"], entry["outcome"]) == ("alice", URI, "success")
    assert entry["details"] == {"change": "created", "version": 1}
    assert entry["session_id"] == reply.session_id


@pytest.mark.parametrize(("setting", "count"), [("durable", 1), ("off", 0)])
async def test_entries_of_reads_are_kept_as_the_setting_says(setting: str, count: int, settings: Settings) -> None:
    settings.AUDIT_READS = setting
    alice = await token_of("alice")
    await ask("resources/write", WRITE, alice)
    for method, params in (
        ("resources/read", {"uri": URI}),
        ("resources/list", {}),
        ("resources/history", {"uri": URI}),
        ("resources/diff", {"uri": URI, "from": 1}),
    ):
        reply = await ask(method, params, alice)
        assert code(reply) is None
        assert len(await entries_of(reply)) == count
    refused = await ask("resources/read", {"uri": URI + "b"}, alice)
    assert len(await entries_of(refused)) == 1


def test_methods_belong_to_classes_and_batches_cost_their_operations() -> None:
    classes = {kind: {name for name, method in METHODS.items() if method.counts_as is kind} for kind in MethodClass}
    followed = {"events/listen", "events/poll", "events/stream", "resources/subscribe", "subscriptions/create"}
    assert classes[MethodClass.STREAMS] == followed
    assert {"resources/read", "resources/list", "audit/list"} <= classes[MethodClass.READS]
    assert {"resources/write", "resources/batch", "sessions/close"} <= classes[MethodClass.CHANGES]
    batch = METHODS["resources/batch"]
    assert [batch.cost({"operations": operations}) for operations in ([1, 2, 3], [], 5)] == [3, 1, 1]
    assert batch.cost([]) == METHODS["resources/write"].cost({"operations": [1, 2]}) == 1
