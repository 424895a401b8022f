"""Wrapping data keys anew, by the current key of the provider that the rules name; what they have sealed stays."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from audit_app.database import in_database
from audit_app.writer import writer
from encryption_app.commands import WrapDataKeys
from encryption_app.data_keys import context_of
from encryption_app.envelope import Tampered
from encryption_app.errors import KeysAway
from encryption_app.key_encryption import current_key
from encryption_app.key_rows import KeptKey
from encryption_app.policy import provider_of
from encryption_app.progress import NOT_AS_WRITTEN, Failure, Progress, is_worth_waiting, reason_of
from encryption_app.queries import next_keys
from encryption_app.services import service_of
from encryption_app.tampering import tampered

DATA_KEY = "data key"


async def rewrap_keys(after: str, limit: int, *, is_patient: bool) -> Progress:
    """Wrap the next data keys behind an id anew, where that is not so already.

    What cannot be unwrapped is passed by. Raises KeysAway while a provider does not answer, if `is_patient`; otherwise
    passes by what that one has.
    """
    kept = await in_database(next_keys, after, limit)
    if not kept:
        return Progress(after=None)
    current, away = await _current_keys({_target(key) for key in kept}, is_patient)
    failures = [Failure(DATA_KEY, key.subject, away[_target(key)]) for key in kept if _target(key) in away]
    stale = [
        key
        for key in kept
        if _target(key) in current and (key.provider, key.key_id) != (_target(key), current[_target(key)])
    ]
    fresh = await asyncio.gather(*(_rewrapped(key, current[_target(key)], is_patient) for key in stale))
    failures += [one for one in fresh if isinstance(one, Failure)]
    wrapped = [one for one in fresh if isinstance(one, KeptKey)]
    count = await writer.submit(WrapDataKeys(keys=wrapped)) if wrapped else 0
    return Progress(after=kept[-1].id, count=count, failures=failures)


async def _current_keys(providers: Iterable[str], is_patient: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The current key of each provider, and of those that have none to give, why."""
    current: dict[str, str] = {}
    away: dict[str, str] = {}
    for name in providers:
        try:
            current[name] = await current_key(service_of(name))
        except KeysAway as refusal:
            if is_patient:
                raise
            away[name] = reason_of(refusal)
    return current, away


async def _rewrapped(kept: KeptKey, key_id: str, is_patient: bool) -> KeptKey | Failure:
    """A data key under another key-encryption key, or why it is not."""
    old, new = service_of(kept.provider), service_of(_target(kept))
    context = context_of(kept.id, kept.subject)
    try:
        key = await old.call(lambda provider: provider.unwrap(kept.key_id, kept.wrapped, context))
        wrapped = await new.call(lambda provider: provider.wrap(key_id, key, context))
    except Tampered:
        tampered(DATA_KEY, kept.subject, data_key=kept.id)
        return Failure(DATA_KEY, kept.subject, NOT_AS_WRITTEN)
    except KeysAway as refusal:
        if is_patient and is_worth_waiting(refusal):
            raise
        return Failure(DATA_KEY, kept.subject, reason_of(refusal))
    return replace(kept, wrapped=wrapped, provider=new.name, key_id=key_id)


def _target(kept: KeptKey) -> str:
    """The provider that a data key is to be wrapped by; without a rule, the one that has it."""
    return provider_of(kept.subject) or kept.provider
