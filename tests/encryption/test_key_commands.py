"""What the writer decides about keys, without a database."""

from datetime import UTC, datetime

import pytest

from audit_app.errors import Again
from encryption_app.commands import AddDataKey, AddKeyEncryptionKey, DestroyKeyEncryptionKey, WrapDataKeys
from encryption_app.errors import KeyInUse
from encryption_app.key_rows import KeptKey, Wrapping
from encryption_app.store import KeysOfBatch

AT = datetime(2026, 1, 1, tzinfo=UTC)
DESTROY = DestroyKeyEncryptionKey(provider="local", key_id="old", entry=None)


def batch_of(*keys: KeptKey) -> KeysOfBatch:
    """The key-encryption keys `old` and `new`, the current one, and data keys."""
    wrappings = [Wrapping(number, "local", number, id, AT) for number, id in enumerate(("old", "new"), 1)]
    return KeysOfBatch({key.id: key for key in keys}, {("local", one.number): one for one in wrappings})


def wrapped_by(key_id: str) -> KeptKey:
    return KeptKey("k", "resource://example.com/a", b"wrapped", "local", key_id, AT)


def test_nothing_is_kept_under_a_key_that_ends_in_the_same_batch() -> None:
    batch = batch_of(wrapped_by("new"))
    DESTROY.apply(batch, AT)
    with pytest.raises(Again):
        AddDataKey(key=wrapped_by("old")).apply(batch, AT)
    assert WrapDataKeys(keys=[wrapped_by("old")]).apply(batch, AT).result == 0
    assert batch.keys == {"k": wrapped_by("new")}


def test_a_key_that_wraps_something_since_this_batch_is_not_destroyed() -> None:
    batch = batch_of()
    AddDataKey(key=wrapped_by("old")).apply(batch, AT)
    with pytest.raises(KeyInUse):
        DESTROY.apply(batch, AT)
    assert not batch.ended


def test_the_current_key_is_the_one_that_was_added_last() -> None:
    batch = batch_of()
    current = DestroyKeyEncryptionKey(provider="local", key_id="new", entry=None)
    with pytest.raises(KeyInUse):
        current.apply(batch, AT)
    assert AddKeyEncryptionKey(provider="local", number=3, key_id="newest", entry=None).apply(batch, AT).result
    current.apply(batch, AT)
    assert batch.ended == [("local", 2)]
