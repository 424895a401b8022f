"""Wrapping data keys anew, by the current key of the provider that the rules name; what they have sealed stays."""

import asyncio
from dataclasses import replace

from audit_app.database import in_database
from audit_app.writer import writer
from encryption_app.data_keys import context_of
from encryption_app.envelope import Tampered
from encryption_app.key_encryption import current_key
from encryption_app.policy import provider_of
from encryption_app.queries import next_keys
from encryption_app.services import service_of
from encryption_app.store import KeptKey, WrapDataKeys
from encryption_app.tampering import tampered


async def rewrap_keys(after: str, limit: int) -> tuple[str | None, int]:
    """Wrap the next data keys behind an id anew, where that is not so already.

    Returns the last id that was looked at, None at the end, and how many were changed. Raises Unavailable.
    """
    kept = await in_database(next_keys, after, limit)
    if not kept:
        return None, 0
    current = {name: await current_key(service_of(name)) for name in {_target(key) for key in kept}}
    stale = [key for key in kept if (key.provider, key.key_id) != (_target(key), current[_target(key)])]
    fresh = await asyncio.gather(*(_rewrapped(key, current[_target(key)]) for key in stale))
    wrapped = [key for key in fresh if key is not None]
    count = await writer.submit(WrapDataKeys(keys=wrapped)) if wrapped else 0
    return kept[-1].id, count


async def _rewrapped(kept: KeptKey, key_id: str) -> KeptKey | None:
    """A data key under another key-encryption key; None for one that does not open, which has been told."""
    old, new = service_of(kept.provider), service_of(_target(kept))
    context = context_of(kept.id, kept.subject)
    try:
        key = await old.call(lambda provider: provider.unwrap(kept.key_id, kept.wrapped, context))
    except Tampered:
        tampered("data key", kept.subject, data_key=kept.id)
        return None
    wrapped = await new.call(lambda provider: provider.wrap(key_id, key, context))
    return replace(kept, wrapped=wrapped, provider=new.name, key_id=key_id)


def _target(kept: KeptKey) -> str:
    """The provider that a data key is to be wrapped by; without a rule, the one that has it."""
    return provider_of(kept.subject) or kept.provider
