"""Plain text that somebody puts where an envelope was is not taken for what was written before there was a rule."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import IdempotencyKey
from encryption_app.envelope import is_sealed, key_of
from encryption_app.policy import SESSIONS, Rule
from resources_app.models import Event, Resource
from resources_app.shredding import destroy_content
from sessions_app.models import Session
from sessions_app.reencryption import begin_reencryption, reencrypt
from sessions_app.sessions import forget as forget_sessions
from tests.encryption.conftest import OTHER, PLAIN, PREFIX, URI, start_over
from tests.encryption.stored import alarms
from tests.encryption.test_rotation import LONG, read, write
from tests.pipeline.calls import ask, body, code, token_of
from tests.sessions.conftest import entry
from tests.stack.waiting import eventually

FORGED = b'"forged"'
STRICT = (Rule(PREFIX, "local", is_strict=True), Rule(SESSIONS, "local", is_strict=True))


def replace_content(**columns: Any) -> None:
    """An intruder's plain text, as the present content of URI and as its first version."""
    Resource.objects.filter(uri=URI).update(body=FORGED, **columns)
    Event.objects.filter(uri=URI, version=1).update(body=FORGED, **columns)


def swap_names_of_keys() -> None:
    """An envelope that is said to be under another key than it is."""
    other = Resource.objects.get(uri=OTHER).sealed_by
    Resource.objects.filter(uri=URI).update(sealed_by=other)
    Event.objects.filter(uri=URI, version=1).update(sealed_by=other)


async def codes(token: str) -> set[str | None]:
    """What it comes to when URI is read at two versions, compared, patched."""
    found = set()
    for method, params in (
        ("resources/read", {"consistency": "strong"}),
        ("resources/read", {"version": 1}),
        ("resources/diff", {"from": 1, "to": 2}),
        ("resources/patch", {"patch": {}}),
    ):
        start_over()
        found.add(code(await ask(method, {"uri": URI, **params}, token)))
    return found


async def prepared() -> str:
    token = await token_of("alice")
    for uri in (URI, OTHER, URI):
        await write(token, uri, {"of": uri})
    return token


@pytest.mark.parametrize(
    "forge",
    [replace_content, swap_names_of_keys, lambda: replace_content(sealed_by="0" * 32)],
    ids=["content alone", "the name of the key alone", "content and another key"],
)
async def test_what_the_row_says_is_encrypted_is_not_read_in_plain(
    running: dict[str, User], forge: Callable[[], None]
) -> None:
    token = await prepared()
    await in_database(forge)
    assert await codes(token) == {"internal_error"}

    async def told() -> bool:
        return len(await in_database(alarms)) >= 4

    await eventually(told, 30, "the operator is told")
    start_over()
    assert await read(token, OTHER) == {"of": OTHER}


async def test_under_a_strict_rule_it_does_not_matter_what_the_row_says(
    running: dict[str, User], settings: Settings
) -> None:
    token = await prepared()
    await in_database(lambda: replace_content(sealed_by=""))
    # as if it had been written before the rule: that cannot be told from the row
    start_over()
    assert await read(token, URI) == "forged"
    settings.ENCRYPT = STRICT
    assert await codes(token) == {"internal_error"}
    await write(token, URI, "new")
    start_over()
    assert await read(token, URI) == "new"


async def test_a_rule_that_came_later_leaves_what_was_written_before(
    running: dict[str, User], settings: Settings
) -> None:
    rules, settings.ENCRYPT = settings.ENCRYPT, ()
    token = await prepared()
    settings.ENCRYPT = rules
    assert code(await ask("resources/read", {"uri": URI, "version": 1}, token)) is None
    await begin_reencryption(entry())
    await reencrypt(LONG, entry())
    settings.ENCRYPT = STRICT
    start_over()
    assert await codes(token) == {None}


async def test_reencryption_makes_no_envelope_of_what_was_forged(running: dict[str, User], settings: Settings) -> None:
    token = await prepared()
    forgeries: list[tuple[dict[str, str], tuple[Rule, ...]]] = [({}, settings.ENCRYPT), ({"sealed_by": ""}, STRICT[:1])]
    for columns, rules in forgeries:
        settings.ENCRYPT = rules
        await in_database(partial(replace_content, **columns))
        await begin_reencryption(entry())
        run = await reencrypt(LONG, entry())
        assert run is not None and (run.is_finished, run.failed) == (True, 2)
        assert {(failure["what"], failure["subject"]) for failure in run.told} == {("resource", URI), ("event", URI)}
        assert bytes((await in_database(Resource.objects.get, uri=URI)).body) == FORGED
    # nor does it keep the rest from being destroyed
    settings.ENCRYPT = (Rule(PREFIX, "local"),)
    await in_database(lambda: replace_content(sealed_by="0" * 32))
    await destroy_content(URI, entry())
    assert code(await ask("resources/read", {"uri": URI}, token)) == "resource_not_found"


async def test_an_answer_that_is_kept_encrypted_is_not_replayed_in_plain(running: dict[str, User]) -> None:
    token = await token_of("alice")
    call = ("resources/write", {"uri": URI, "content": 1}, token)
    other = ("resources/write", {"uri": PLAIN, "content": 1}, token)
    body(await ask(*call, metadata={"idempotency-key": "sealed"}))
    body(await ask(*other, metadata={"idempotency-key": "plain"}))

    def forge() -> None:
        plain = IdempotencyKey.objects.get(id__endswith="/plain").answer
        IdempotencyKey.objects.update(answer=plain)

    await in_database(forge)
    assert code(await ask(*call, metadata={"idempotency-key": "sealed"})) == "internal_error"
    assert (await ask(*other, metadata={"idempotency-key": "plain"})).replayed


def forge_label(session: str, **columns: Any) -> None:
    Session.objects.filter(id=session).update(label="forged", **columns)


@pytest.mark.parametrize(
    ("columns", "is_strict", "expected"),
    [({}, False, "internal_error"), ({"sealed": b""}, True, "internal_error"), ({"sealed": b""}, False, None)],
)
async def test_what_a_session_is_said_to_know_in_plain_is_not_shown(
    running: dict[str, User], settings: Settings, columns: dict[str, Any], is_strict: bool, expected: str | None
) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "local", is_strict=is_strict),)
    token = await token_of("alice")
    session = body(await ask("sessions/create", {"label": "mine"}, token))["id"]
    other = body(await ask("sessions/create", {"label": "other"}, token))["id"]
    await in_database(lambda: forge_label(session, **columns))
    await in_database(cache.clear)
    start_over()
    forget_sessions()
    assert code(await ask("sessions/get", {"session": session}, token)) == expected
    listed = {one["id"]: one.get("label") for one in body(await ask("sessions/list", {}, token))["sessions"]}
    assert (listed[session], listed[other]) == ("forged" if expected is None else None, "other")
    # it is a session all the same: requests in it are answered, and it can be closed
    assert code(await ask("resources/list", {}, token, session_id=session)) is None
    assert code(await ask("sessions/close", {"session": session}, token)) is None


async def test_contexts_of_two_sessions_that_were_swapped_do_not_open(
    running: dict[str, User], settings: Settings
) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    token, stranger = await token_of("alice"), await token_of("bob")
    ids = [body(await ask("sessions/create", {"label": "a"}, token))["id"] for _ in range(3)]
    foreign = body(await ask("sessions/create", {"label": "b"}, stranger))["id"]

    def swap() -> None:
        kept = {row.id: bytes(row.sealed) for row in Session.objects.filter(id__in=[*ids, foreign])}
        for one, other in ((ids[0], ids[1]), (ids[1], ids[0]), (ids[2], foreign), (foreign, ids[2])):
            Session.objects.filter(id=one).update(sealed=kept[other])

    await in_database(swap)
    for caller, id in ((token, ids[0]), (token, ids[1]), (token, ids[2]), (stranger, foreign)):
        start_over()
        assert code(await ask("sessions/get", {"session": id}, caller)) == "internal_error"


async def test_a_session_that_was_given_to_another_user_does_not_tell_what_it_knows(
    running: dict[str, User], settings: Settings
) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    token, stranger = await token_of("alice"), await token_of("bob")
    id = body(await ask("sessions/create", {"label": "a"}, token))["id"]
    await in_database(Session.objects.filter(id=id).update, user_id=running["bob"].pk)
    assert code(await ask("sessions/get", {"session": id}, stranger)) == "internal_error"


@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
def test_rows_from_before_they_named_their_keys_name_them() -> None:
    sealed = b"\xff\x01" + bytes(range(16)) + bytes(28)
    at = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "offset": 0, "size": 1}
    for uri, kept in ((URI, sealed), (OTHER, b"1")):
        Resource.objects.create(uri=uri, kind="content", mime_type="a/b", body=kept, version=1, **at)
    assert is_sealed(sealed)
    call_command("migrate", "resources_app", "0003", verbosity=0)
    call_command("migrate", "resources_app", verbosity=0)
    named = dict(Resource.objects.values_list("uri", "sealed_by"))
    assert named == {URI: key_of(sealed), OTHER: ""}
