"""The context of a session under a data key of its user (docs/encryption.md): who opened it, with what, and its notes.

No request needs that: a session out of a table or a cache stays locked, and is opened where it is shown. So requests in
sessions that are there call for no key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from audit_app.errors import Refusal
from audit_app.trail import Entry
from encryption_app.data_keys import data_keys
from encryption_app.envelope import MARK, DataKey, Place, Purpose, Tampered, key_of
from encryption_app.errors import ContentDestroyed, ContentTampered, KeysMissing
from encryption_app.policy import SESSIONS, forbids_plain, provider_of
from encryption_app.submission import sealing_answer
from encryption_app.tampering import tampered
from sessions_app.records import CONTEXT, NOTHING, SessionRecord


def subject_of(user_id: str) -> str:
    """What the data key of a user's sessions is kept under."""
    return f"{SESSIONS}{user_id}"


def is_encrypted(user_id: str) -> bool:
    """Whether the rules have the sessions of a user encrypted."""
    return provider_of(subject_of(user_id)) is not None


async def key_for(user_id: str) -> DataKey | None:
    """The data key under which sessions of a user are kept, None where no rule says so. Raises Unavailable."""
    subject = subject_of(user_id)
    provider = provider_of(subject)
    return None if provider is None else await data_keys.key_of(subject, provider)


def as_kept(record: SessionRecord) -> SessionRecord:
    """A session out of a table or a cache.

    What is known in plain text beside an envelope, or where a strict rule says that there is one, nobody has written
    there: such a session does not open. One that knows nothing may have none (see `sealed_or_bare`).
    """
    if not any(getattr(record, name) for name in CONTEXT):
        return record
    if record.is_locked or forbids_plain(subject_of(record.user_id)):
        return replace(record, sealed=MARK, is_locked=True, **NOTHING)
    return record


def sealed(record: SessionRecord, key: DataKey | None) -> SessionRecord:
    """An open session as it is to be kept from now on: its context in an envelope, or in plain text without a key."""
    context = orjson.dumps({name: getattr(record, name) for name in CONTEXT})
    return replace(record, sealed=b"" if key is None else key.seal(context, _place_of(record)))


async def sealed_or_bare(record: SessionRecord) -> SessionRecord:
    """An open session as it is to be kept; while its key is not to be had, without its context.

    Whoever logs in then needs the session, and nobody needs that.
    """
    try:
        return sealed(record, await key_for(record.user_id))
    except Refusal:
        return replace(record, **NOTHING)


def sealer_of(record: SessionRecord) -> str:
    """The id of the data key of a session, "" for none, and for what does not say."""
    try:
        return key_of(record.sealed)
    except Tampered:
        return ""


def opened(record: SessionRecord) -> SessionRecord:
    """The session with its context, if the data key is held. Raises KeysMissing, ContentDestroyed, ContentTampered."""
    if not record.is_locked:
        return record
    id = sealer_of(record)
    key = data_keys.held.get(id) if id else None
    if key is None and id:
        if data_keys.held.is_destroyed(id):
            raise ContentDestroyed()
        raise KeysMissing([id])
    return opened_by(record, key)


def opened_by(record: SessionRecord, key: DataKey | None) -> SessionRecord:
    """The session with its context, by a data key. Raises ContentTampered when it was not made so by that key."""
    try:
        if key is None:
            raise Tampered()
        context: dict[str, Any] = orjson.loads(key.open(record.sealed, _place_of(record)))
    except Tampered:
        raise tampered("session", record.id) from None
    return replace(record, is_locked=False, **context)


async def open_session(record: SessionRecord) -> SessionRecord:
    """The session with its context. Raises Unavailable, ContentDestroyed and ContentTampered."""
    return record if not record.is_locked else await data_keys.opening(partial(_open, record))


async def open_sessions(records: Iterable[SessionRecord]) -> list[SessionRecord]:
    """Sessions with their contexts; what does not open, which has been told, or was destroyed, stays locked.

    Raises Unavailable.
    """
    found = list(records)
    await _hold(found)
    shown = []
    for record in found:
        try:
            shown.append(await open_session(record))
        except (ContentDestroyed, ContentTampered):
            shown.append(record)
    return shown


async def opener_of(record: SessionRecord) -> DataKey | None:
    """The data key of a session, None when it has none, or when it is not to be had now."""
    if not record.is_locked or not (id := sealer_of(record)):
        return None
    try:
        await data_keys.fetch([id])
    except Refusal:
        return None
    return data_keys.held.get(id)


def sealing(entry: Entry, key: DataKey | None) -> Entry:
    """The entry, so that the answer that an idempotency key keeps is encrypted like the session that it shows."""
    return entry if key is None else replace(entry, once=sealing_answer(entry.once, [key]))


async def _hold(records: Sequence[SessionRecord]) -> None:
    """Hold the data keys of sessions; those of some may be damaged, which is found out one by one."""
    ids = {sealer_of(record) for record in records if record.is_locked} - {""}
    try:
        await data_keys.fetch(ids)
    except ContentTampered:
        return


async def _open(record: SessionRecord) -> SessionRecord:
    return opened(record)


def _place_of(record: SessionRecord) -> Place:
    """Where a context belongs: to its session, and that to its user."""
    return Place(Purpose.SESSION, f"{record.id} {record.user_id}")
