"""API keys: shown once, kept as a hash, narrowed by scopes, ended by revocation, expiry or the end of their user."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.timezone import now
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import IdempotencyKey, OutboxEntry
from audit_app.writer import writer
from erlmcp_site.environment import Rate
from erlmcp_site.pipeline.messages import Credentials
from sessions_app.accounts import ChangeAccount
from sessions_app.authentication import authenticate, tokens
from sessions_app.limits import limits
from sessions_app.models import ApiKey, Session, TokenFamily
from sessions_app.sessions import write_activity
from sessions_app.tasks import KEEP_EXPIRED, clean_sessions
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.sessions.conftest import caller_by, entry, is_refused
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


async def key_of(name: str, **params: Any) -> Any:
    """A new key of a user, as its creation answers."""
    return body(await ask("keys/create", params, await token_of(name)))


async def test_a_key_is_its_user_with_all_that_the_user_may() -> None:
    made = await key_of("alice", label="feed")
    caller = await caller_by(made["key"])
    assert (caller.name, caller.is_machine, caller.scopes) == ("alice", True, None)
    assert caller.permissions == (await authenticate(Credentials(token=await token_of("alice")))).permissions
    assert made["prefix"] == f"erlk_{made['id']}"
    assert re.fullmatch(re.escape(made["prefix"]) + "_[A-Za-z0-9_-]{43}", made["key"])
    assert (made["user"], made["label"], made["scope"], made["last_used_at"]) == ("alice", "feed", "", None)


async def test_of_a_key_only_the_hash_is_kept() -> None:
    made = await key_of("alice")
    secret = made["key"].removeprefix(f"{made['prefix']}_")
    kept = await in_database(
        lambda: [*ApiKey.objects.values(), *TokenFamily.objects.values(), *OutboxEntry.objects.values()]
    )
    assert made["id"] in str(kept)
    assert secret not in str(kept)
    listed = body(await ask("keys/list", {}, await token_of("alice")))["keys"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]


async def test_a_repeated_creation_makes_one_key_and_does_not_tell_it_again() -> None:
    token = await token_of("alice")
    once = {"idempotency-key": "one"}
    first = await ask("keys/create", {}, token, metadata=once)
    again = await ask("keys/create", {}, token, metadata=once)
    assert again.replayed
    told = body(first)
    secret = told.pop("key")
    repeated = body(again)
    assert repeated.keys() == told.keys()
    assert repeated["id"] == told["id"]
    assert len(body(await ask("keys/list", {}, token))["keys"]) == 1
    kept = await in_database(lambda: bytes(IdempotencyKey.objects.get().answer))
    _, _, random_part = secret.split("_", 2)
    assert len(random_part) > 40
    assert random_part.encode() not in kept


async def test_scopes_narrow_a_key_and_never_widen_it() -> None:
    narrow = await caller_by((await key_of("alice", scope="resources:read audit:read"))["key"])
    assert narrow.permissions == {"resources:read"}
    assert not narrow.may("audit:read")
    assert not narrow.may("resources:write")


@pytest.mark.parametrize(
    "scope", ["", " ", "nothing", "resources:read nothing", "resources:*", "Resources:Read", 7, None]
)
async def test_an_unknown_scope_is_refused(scope: Any) -> None:
    assert code(await ask("keys/create", {"scope": scope}, await token_of("alice"))) == "invalid_params"


@pytest.mark.parametrize("label", ["two\nlines", "turned \u202earound", "a bell \a"])
async def test_a_label_is_one_line(label: str) -> None:
    assert code(await ask("keys/create", {"label": label}, await token_of("alice"))) == "invalid_params"


async def test_keys_make_no_keys() -> None:
    made = await key_of("root")
    assert code(await ask("keys/create", {}, made["key"])) == "forbidden"


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key[:-43] + "A" * 43,
        lambda key: key.replace(key[5:41], "00000000-0000-0000-0000-000000000000"),
        lambda key: key + "A",
        lambda key: key[:-1],
        lambda key: key.upper(),
        lambda key: key + "\n",
        lambda key: "erlk_",
        lambda key: "erlk_" + "é" * 80,
        lambda key: "erlk_\0" + key[6:],
        lambda key: "erlk_\ud800" + key[6:],
        lambda key: "erlk_" + "a" * 100_000,
    ],
)
async def test_what_is_not_the_key_is_refused_and_on_record(change: Any) -> None:
    made = await key_of("alice")
    bad = change(made["key"])
    reply = await ask("resources/list", {}, bad)
    assert code(reply) == "unauthenticated"
    (found,) = await entries_of(reply)
    assert (found["code"], found["user"]) == ("unauthenticated", "")
    assert not await is_refused(made["key"])


async def test_revoking_ends_a_key_at_once_though_it_was_verified_before() -> None:
    made, alice = await key_of("alice"), await token_of("alice")
    assert not await is_refused(made["key"])
    revoked = await ask("keys/revoke", {"id": made["id"]}, alice)
    (found,) = await entries_of(revoked)
    assert (found["action"], found["resource_id"]) == ("keys/revoke", made["id"])

    async def ended() -> bool:
        return await is_refused(made["key"])

    await eventually(ended, 30, "the key is refused")
    assert body(await ask("keys/list", {}, alice))["keys"] == []
    assert code(await ask("keys/revoke", {"id": made["id"]}, alice)) is None


async def test_a_key_ends_with_its_time() -> None:
    made = await key_of("alice", expires_in=3600)
    assert (await caller_by(made["key"])).expires_at == datetime.fromisoformat(made["expires_at"]).timestamp()
    tokens.clear()
    await in_database(ApiKey.objects.filter(id=made["id"]).update, expires_at=now())
    assert await is_refused(made["key"])
    for seconds in (0, 367 * 86400, "never"):
        assert code(await ask("keys/create", {"expires_in": seconds}, await token_of("alice"))) == "invalid_params"


async def test_a_key_ends_with_its_user(running: dict[str, User]) -> None:
    made, user = await key_of("alice"), running["alice"]
    assert not await is_refused(made["key"])
    user.is_active = False
    await writer.submit(ChangeAccount(write=user.save, entry=entry(), users=[str(user.pk)]))

    async def ended() -> bool:
        return await is_refused(made["key"])

    await eventually(ended, 30, "the key is refused")


async def test_others_do_not_see_a_key_but_administrators_of_access_do() -> None:
    made = await key_of("alice")
    bob, root = await token_of("bob"), await token_of("root")
    assert body(await ask("keys/list", {}, bob))["keys"] == []
    assert code(await ask("keys/revoke", {"id": made["id"]}, bob)) == "resource_not_found"
    assert code(await ask("keys/revoke", {"id": "nope"}, root)) == "resource_not_found"
    assert [one["user"] for one in body(await ask("keys/list", {}, root))["keys"]] == ["alice"]
    narrow = await key_of("root", scope="resources:read")
    assert code(await ask("keys/revoke", {"id": made["id"]}, narrow["key"])) == "resource_not_found"
    assert code(await ask("keys/revoke", {"id": made["id"]}, root)) is None


async def test_a_key_revokes_itself_and_no_other_of_its_user() -> None:
    first, second = await key_of("alice"), await key_of("alice")
    assert code(await ask("keys/revoke", {"id": second["id"]}, first["key"])) == "forbidden"
    assert code(await ask("keys/revoke", {"id": first["id"]}, first["key"])) is None
    assert not await is_refused(second["key"])


async def test_a_key_counts_against_the_limits_of_its_user(settings: Settings) -> None:
    token, key = await token_of("alice"), (await key_of("alice"))["key"]
    settings.RATE_LIMIT_CALLER = Rate(amount=3, seconds=3600)
    limits.forget()
    told = [code(await ask("sessions/list", {}, shown)) for shown in (token, key, token, key)]
    limits.forget()
    assert told == [None, None, None, "rate_limited"]


async def test_a_key_has_a_session_of_its_own() -> None:
    first, second = await key_of("alice"), await key_of("alice")
    replies = [await ask("resources/list", {}, key) for key in (first["key"], first["key"], second["key"])]
    sessions = [reply.session_id for reply in replies]
    assert sessions[0] == sessions[1] != sessions[2]
    assert sessions[0] == (await in_database(TokenFamily.objects.get, id=first["id"])).session_id


async def test_when_a_key_was_used_is_written_down_now_and_then() -> None:
    made, token = await key_of("alice"), await token_of("alice")
    before = now()
    await ask("resources/list", {}, made["key"])
    assert body(await ask("keys/list", {}, token))["keys"][0]["last_used_at"] is None
    await write_activity()
    first = (await in_database(ApiKey.objects.get)).last_used_at
    assert first is not None and first >= before
    await write_activity()
    assert (await in_database(ApiKey.objects.get)).last_used_at == first
    await ask("resources/list", {}, made["key"])
    await write_activity()
    later = (await in_database(ApiKey.objects.get)).last_used_at
    assert later is not None and later > first


async def test_a_key_and_its_session_go_when_its_time_is_over() -> None:
    made, kept = await key_of("alice"), await key_of("alice")
    await ask("resources/list", {}, made["key"])
    over = now() - KEEP_EXPIRED - timedelta(seconds=1)
    await in_database(TokenFamily.objects.filter(id=made["id"]).update, expires_at=over)
    await in_database(ApiKey.objects.filter(id=made["id"]).update, expires_at=over)
    await in_database(clean_sessions)
    assert await in_database(lambda: list(ApiKey.objects.values_list("id", flat=True))) == [kept["id"]]
    assert not await in_database(TokenFamily.objects.filter(id=made["id"]).exists)
    assert not await in_database(Session.objects.filter(family=made["id"]).exists)
