"""Signing keys: one for all nodes, sealed under SECRET_KEY."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
from pytest_django import Settings

from audit_app.database import in_database
from sessions_app.keys import KeyRing, ensure_signing_key, jwks
from sessions_app.models import SigningKey
from sessions_app.sealing import seal, unseal


def test_a_key_is_made_once(users: dict[str, User]) -> None:
    assert ensure_signing_key() == ensure_signing_key()
    assert SigningKey.objects.count() == 1


async def test_of_several_that_start_at_once_one_makes_it(users: dict[str, User]) -> None:
    made = await asyncio.gather(*(in_database(ensure_signing_key) for _ in range(6)))
    assert len(set(made)) == 1
    assert await in_database(SigningKey.objects.count) == 1


def test_the_private_key_is_in_no_column_in_the_clear(users: dict[str, User]) -> None:
    ensure_signing_key()
    key = SigningKey.objects.get()
    assert b"PRIVATE" not in bytes(key.sealed)
    numbers = KeyRing().signing()[1].private_numbers()
    for secret in (numbers.d, numbers.p, numbers.q):
        assert secret.to_bytes(256).lstrip(b"\0") not in bytes(key.sealed)
    assert orjson.loads(key.jwk).keys() == {"kty", "n", "e", "kid", "use", "alg"}


def test_the_public_keys_are_published(users: dict[str, User]) -> None:
    kid = ensure_signing_key()
    (key,) = jwks()["keys"]
    assert (key["kid"], key["alg"], key["use"], key["kty"]) == (kid, "RS256", "sig", "RSA")


def test_another_secret_key_is_an_error_that_says_so(users: dict[str, User], settings: Settings) -> None:
    ensure_signing_key()
    settings.SECRET_KEY = "another one, and just as long as it has to be"
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        ensure_signing_key()
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        KeyRing().load()


def test_a_retired_key_still_verifies_and_signs_nothing_new(users: dict[str, User]) -> None:
    old = ensure_signing_key()
    SigningKey.objects.update(retired_at="2026-01-01T00:00:00Z")
    new = ensure_signing_key()
    ring = KeyRing()
    assert ring.signing()[0] == new != old
    assert ring.public(old) is not None


def test_what_is_sealed_opens_under_its_own_name_and_purpose_alone() -> None:
    sealed = seal(b"secret", "test", "a")
    assert unseal(sealed, "test", "a") == b"secret"
    assert seal(b"secret", "test", "a") != sealed
    for changed, purpose, name in (
        (sealed, "test", "b"),
        (sealed, "other", "a"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "test", "a"),
        (b"", "test", "a"),
    ):
        with pytest.raises(ImproperlyConfigured):
            unseal(changed, purpose, name)


def test_threads_that_look_for_a_key_at_once_all_find_it(transactional_db: None) -> None:
    """After a start every request needs the keys at the same moment; none may be told that its token is bad."""
    ensure_signing_key()
    kid = SigningKey.objects.get().kid
    ring = KeyRing()
    together = threading.Barrier(8)

    def look() -> bool:
        together.wait(10)
        ring.look_for(kid)
        close_old_connections()
        return ring.public(kid) is not None

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: look(), range(8)))
