"""Data keys as requests use them: held in memory, fetched and made off the event loop and outside of transactions."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from django.conf import settings
from uuid_utils import uuid4

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from audit_app.errors import Again, Refusal, Unavailable
from audit_app.writer import writer
from encryption_app.commands import AddDataKey
from encryption_app.envelope import KEY_BYTES, DataKey, Place, Tampered, key_of
from encryption_app.envelope import is_sealed as is_envelope
from encryption_app.errors import ContentDestroyed, KeysMissing
from encryption_app.key_cache import KeyCache
from encryption_app.key_encryption import current_key
from encryption_app.key_rows import KeptKey
from encryption_app.queries import destroyed_keys, kept_keys, living_key
from encryption_app.services import service_of
from encryption_app.tampering import tampered

MAX_ROUNDS = 5
NOT_HELD = "The keys of this content could not be held for long enough."

T = TypeVar("T")


class DataKeys:
    """The data keys of one process."""

    def __init__(self) -> None:
        self.held = KeyCache(lambda: float(settings.ENCRYPTION_KEY_CACHE_SECONDS))
        self._fetching: dict[tuple[int, str], asyncio.Task[dict[str, Refusal]]] = {}
        self._making: dict[tuple[int, str], asyncio.Task[DataKey]] = {}

    async def fetch(self, ids: Iterable[str]) -> None:
        """Hold these keys; destroyed ones are known as such afterwards.

        Those who want the same key at once share one call of the provider. Raises Unavailable when a provider does not
        answer or lacks what it takes, ContentTampered when what is kept of a key is not what was wrapped, or there
        never was one.
        """
        loop = asyncio.get_running_loop()
        wanted = {id for id in ids if self.held.get(id) is None and not self.held.is_destroyed(id)}
        fresh = {id for id in wanted if (_of(loop), id) not in self._fetching}
        if fresh:
            task = loop.create_task(self._fetch(fresh), context=without_deadline())
            for id in fresh:
                self._fetching[_of(loop), id] = task
        failed: dict[str, Refusal] = {}
        for task in {self._fetching[_of(loop), id] for id in wanted}:
            failed |= await asyncio.shield(task)
        for id in wanted & failed.keys():
            raise failed[id].with_traceback(None)

    async def key_of(self, subject: str, provider: str) -> DataKey:
        """The living data key of a subject, made under the current key of a provider where there is none.

        Raises as `fetch` does.
        """
        held = self.held.of(subject)
        if held is not None:
            return held
        loop = asyncio.get_running_loop()
        place = (_of(loop), subject)
        task = self._making.get(place)
        if task is None:
            task = self._making[place] = loop.create_task(self._key_of(subject, provider), context=without_deadline())
            task.add_done_callback(lambda done: self._made(place, done))
        return await asyncio.shield(task)

    async def bring(self, missing: KeysMissing) -> None:
        """Hold the keys that something lacks. Raises as `fetch` does."""
        for id in missing.gone:
            self.held.destroy(id)
        await self.fetch(missing.ids)

    async def opening(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that opens envelopes or seals; what keys it lacks are fetched, and it is done again."""
        for _ in range(MAX_ROUNDS):
            try:
                return await work()
            except KeysMissing as missing:
                await self.bring(missing)
        raise Unavailable(NOT_HELD)

    async def _fetch(self, ids: set[str]) -> dict[str, Refusal]:
        """Fetch keys; returns why those failed that did."""
        try:
            kept = await in_database(kept_keys, ids)
            missing = ids - kept.keys()
            gone = await in_database(destroyed_keys, missing) if missing else set()
            for id in gone:
                self.held.destroy(id)
            failed: dict[str, Refusal] = {id: tampered("data key", id) for id in missing - gone}
            await asyncio.gather(*(self._unwrap(key, failed) for key in kept.values()))
            return failed
        except Refusal as refusal:
            return dict.fromkeys(ids, refusal)
        finally:
            for id in ids:
                self._fetching.pop((_of(asyncio.get_running_loop()), id), None)

    async def _unwrap(self, kept: KeptKey, failed: dict[str, Refusal]) -> None:
        try:
            service = service_of(kept.provider)
            context = context_of(kept.id, kept.subject)
            key = await service.call(lambda provider: provider.unwrap(kept.key_id, kept.wrapped, context))
            self.held.put(DataKey(kept.id, key), kept.subject)
        except Tampered:
            failed[kept.id] = tampered("data key", kept.subject, data_key=kept.id)
        except Refusal as refusal:
            now = (await in_database(kept_keys, [kept.id])).get(kept.id)
            if now is not None and now.wrapped != kept.wrapped:
                # wrapped anew meanwhile, and what it was wrapped by may be destroyed
                await self._unwrap(now, failed)
            else:
                failed[kept.id] = refusal

    async def _key_of(self, subject: str, provider: str) -> DataKey:
        for _ in range(MAX_ROUNDS):
            kept = await in_database(living_key, subject)
            if kept is None:
                return await self._new_key(subject, provider)
            await self.fetch([kept.id])
            held = self.held.get(kept.id)
            if held is not None:
                return held
        raise Unavailable(NOT_HELD)

    async def _new_key(self, subject: str, provider: str) -> DataKey:
        """Make a data key; another node may do so at the same time, and one of the two is kept."""
        service = service_of(provider)
        key_id = await current_key(service)
        key, id = os.urandom(KEY_BYTES), uuid4().hex
        wrapped = await service.call(lambda provider: provider.wrap(key_id, key, context_of(id, subject)))
        try:
            kept = await writer.submit(AddDataKey(key=KeptKey(id, subject, wrapped, provider, key_id)))
        except Again as again:
            raise Unavailable(again.message) from again
        if kept.id != id:
            return await self._key_of(subject, provider)
        made = DataKey(id, key)
        self.held.put(made, subject)
        return made

    def _made(self, place: tuple[int, str], task: asyncio.Task[DataKey]) -> None:
        del self._making[place]
        if not task.cancelled():
            # those who wanted to know may have gone away
            task.exception()


async def opened(kept: bytes, place: Place, *, is_sealed: bool) -> bytes:
    """What is kept, opened if it is an envelope, or envelopes in each other, for a place.

    `is_sealed`: it has to be one. Raises Unavailable, ContentDestroyed and ContentTampered.
    """
    try:
        if is_sealed and not is_envelope(kept):
            raise Tampered()
        while is_envelope(kept):
            id = key_of(kept)
            await data_keys.fetch([id])
            if data_keys.held.is_destroyed(id):
                raise ContentDestroyed()
            key = data_keys.held.get(id)
            if key is None:
                raise Unavailable(NOT_HELD)
            kept = key.open(kept, place)
        return kept
    except Tampered:
        raise tampered(place.purpose.name.lower(), place.subject) from None


def context_of(id: str, subject: str) -> str:
    """What is bound into a wrapped data key."""
    return f"{id} {subject}"


def _of(loop: asyncio.AbstractEventLoop) -> int:
    return id(loop)


data_keys = DataKeys()
