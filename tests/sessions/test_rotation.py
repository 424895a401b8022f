"""Signing keys overlap: the next is published before it signs, the last verifies until its tokens have expired."""

import io
from datetime import timedelta

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils.timezone import now
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.pipeline.messages import Credentials
from resources_app.models import ControlEvent
from sessions_app.authentication import authenticate
from sessions_app.key_store import key_entry, next_key
from sessions_app.keys import KeyRing, ensure_signing_key, jwks, ring, rotate_signing_key
from sessions_app.models import SigningKey, TokenFamily
from sessions_app.tasks import drop_spent_keys
from tests.sessions.conftest import pair_of
from tests.stack.outbox import entries
from tests.stack.waiting import eventually


def retired(kid: str, *, ago: timedelta) -> None:
    """As if so much time had passed since the key was retired."""
    SigningKey.objects.filter(kid=kid).update(retired_at=now() - ago)


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published() -> list[str]:
    return [key["kid"] for key in jwks()["keys"]]


def test_a_new_key_is_published_before_it_signs(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    new = rotate_signing_key(key_entry())
    assert new is not None
    held = KeyRing()
    assert held.signing()[0] == ensure_signing_key() == old
    assert published() == [old, new]
    assert held.public(new) is not None
    retired(old, ago=timedelta(seconds=1))
    held.load()
    assert held.signing()[0] == ensure_signing_key() == new
    assert held.public(old) is not None
    assert published() == [old, new]


def test_a_process_that_has_heard_of_a_rotation_changes_keys_by_the_clock(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    new = rotate_signing_key(key_entry())
    SigningKey.objects.filter(kid=old).update(retired_at=now() + timedelta(seconds=0.3))
    held = KeyRing()
    held.load()
    while held.signing()[0] == old:
        pass
    assert held.signing()[0] == new
    until = SigningKey.objects.get(kid=old).retired_at
    assert until is not None
    assert now() >= until


def test_a_rotation_in_a_rotation_leaves_out_no_key(users: dict[str, User]) -> None:
    first = ensure_signing_key()
    second = rotate_signing_key(key_entry())
    third = rotate_signing_key(key_entry())
    assert published() == [first, second, third]
    retired(first, ago=timedelta(seconds=1))
    assert ensure_signing_key() == second


def test_of_two_rotations_at_once_one_is_done(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    done = [writer.run(next_key(2, key_entry(), [old])) for _ in range(2)]
    assert done == [True, False]
    assert SigningKey.objects.count() == 2
    assert SigningKey.objects.get(kid=old).retired_at is not None


async def test_a_node_that_follows_learns_of_the_new_key_and_keeps_the_tokens_of_the_old_one(
    running: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    # so that the old key still signs when the node has learned of the new one, however long that takes
    monkeypatch.setattr("sessions_app.key_store.PUBLISH_SECONDS", 600.0)
    before = await pair_of("alice")
    old = kid_of(before.access)
    new = await in_database(rotate_signing_key, key_entry())
    assert new is not None
    await eventually(lambda: ring.public(new) is not None, 30, "the process holds the new key")
    assert kid_of((await pair_of("alice")).access) == old
    await in_database(lambda: retired(old, ago=timedelta(seconds=1)))
    await in_database(ring.load)
    after = await pair_of("alice")
    assert kid_of(after.access) == new
    for pair in (before, after):
        assert (await authenticate(Credentials(token=pair.access))).name == "alice"


async def test_a_key_is_dropped_when_all_that_it_signed_has_expired(running: dict[str, User]) -> None:
    old = kid_of((await pair_of("alice")).access)
    new = await in_database(rotate_signing_key, key_entry())
    await in_database(lambda: retired(old, ago=timedelta(days=1)))
    assert await in_database(drop_spent_keys) == 1, "the login was made after the key was retired, as the rows say"
    assert await in_database(published) == [new]
    await eventually(lambda: ring.public(old) is None, 30, "the process has dropped the key")
    kinds = await in_database(lambda: list(ControlEvent.objects.values_list("kind", "subject")))
    assert kinds == [("key.added", new), ("key.dropped", old)]


@pytest.mark.parametrize(
    ("signed", "rotated", "expires", "is_revoked", "dropped"),
    [
        (-3, None, 1, False, 0),
        (-3, None, -1, False, 1),
        (-3, None, 1, True, 1),
        (-3, -1, 1, False, 1),
        (-4, -3, 1, False, 0),
        (-1, None, 1, False, 1),
    ],
)
def test_a_key_stays_while_a_refresh_token_of_it_is_good(
    users: dict[str, User], signed: int, rotated: int | None, expires: int, is_revoked: bool, dropped: int
) -> None:
    """Days from now; the key was retired two days ago."""
    old = ensure_signing_key()
    rotate_signing_key(key_entry())
    retired(old, ago=timedelta(days=2))
    TokenFamily.objects.create(
        id="one",
        user=users["alice"],
        current="token",
        created_at=now() + timedelta(days=signed),
        rotated_at=None if rotated is None else now() + timedelta(days=rotated),
        revoked_at=now() if is_revoked else None,
        expires_at=now() + timedelta(days=expires),
    )
    assert drop_spent_keys() == dropped
    assert SigningKey.objects.filter(kid=old).exists() is not bool(dropped)


def test_a_key_stays_while_an_access_token_of_it_may_be_good(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    rotate_signing_key(key_entry())
    assert drop_spent_keys() == 0
    retired(old, ago=timedelta(seconds=300))
    assert drop_spent_keys() == 0
    retired(old, ago=timedelta(seconds=361))
    assert drop_spent_keys() == 1


def test_an_operator_lists_and_rotates_keys(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    told = io.StringIO()
    call_command("tokens", "rotate", stdout=told)
    new = SigningKey.objects.get(number=2).kid
    assert told.getvalue() == f"{new} signs in 5 s, when every node knows it\n"
    listed = io.StringIO()
    call_command("tokens", "keys", stdout=listed)
    assert [line.split()[0] for line in listed.getvalue().splitlines()] == [old, new]
    assert [line.split()[-1] for line in listed.getvalue().splitlines()] == ["signs", "published"]
    retired(old, ago=timedelta(seconds=1))
    listed = io.StringIO()
    call_command("tokens", "keys", stdout=listed)
    first, second = listed.getvalue().splitlines()
    assert "verifies, retired" in first
    assert second.endswith("signs")
    rotation = entries("auth/keys")[-1]
    assert (rotation["resource_id"], rotation["details"]["retired"]) == (new, [old])
    assert rotation["user"]


def test_a_rotation_under_another_secret_key_is_refused(users: dict[str, User], settings: Settings) -> None:
    ensure_signing_key()
    settings.SECRET_KEY = "another one, and just as long as it has to be"
    with pytest.raises(CommandError, match="SECRET_KEY"):
        call_command("tokens", "rotate")
    assert SigningKey.objects.count() == 1
