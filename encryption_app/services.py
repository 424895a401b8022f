"""Providers as this process uses them: on threads of their own, with a breaker each, and for a bounded time."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary

from django.utils.module_loading import import_string

from audit_app.breaker import Breaker, PartAway
from audit_app.errors import Refusal
from audit_app.recovery import KEYS
from encryption_app.envelope import Tampered
from encryption_app.errors import BadProvider, KeysAway, KeyServiceAway, KeyUnknown
from encryption_app.providers import PROVIDERS
from encryption_app.providers.interface import Provider

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
THREADS = 4
REMIND_SECONDS = 60.0
MAX_TOLD = 100

_told: dict[str, float] = {}

T = TypeVar("T")


class Service:
    """One provider. It is made on its own threads, when it is first asked for something: making a client may block."""

    def __init__(self, name: str) -> None:
        self.name = name
        strategy = replace(KEYS, part=f"{KEYS.part}_{name}", name=f"{KEYS.name} {name}")
        self._breaker = Breaker(strategy, counts=lambda error: isinstance(error, KeyServiceAway))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"keys {name}")
        self._making = threading.Lock()
        self._provider: Provider | None = None
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    def provider(self) -> Provider:
        """The provider itself; blocks while it is made. Raises BadProvider when it cannot work as it is configured."""
        with self._making:
            if self._provider is None:
                self._provider = _made(self.name)
            return self._provider

    async def call(self, work: Callable[[Provider], T]) -> T:
        """Have the provider do something, on a thread.

        Raises KeysAway when it is away, fails or does not have the key, and Tampered.
        """
        try:
            # whoever waits for a turn is not late yet, and learns in the meantime that the provider is away
            async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(THREADS)):
                with self._breaker.guard():
                    return await self._in_time(lambda: work(self.provider()))
        except PartAway as away:
            raise KeysAway(str(away.__cause__ or away), retry_after=away.retry_after) from away
        except (KeyUnknown, BadProvider) as error:
            _tell(self.name, error)
            raise KeysAway(str(error), is_lost=isinstance(error, KeyUnknown)) from error
        except (Refusal, Tampered):
            raise
        except Exception as error:
            # whatever a library raises, it closes what these keys keep, and nothing else
            log.exception("the key provider %s failed", self.name)
            raise KeysAway(f"the key provider {self.name} failed: {type(error).__name__}") from error

    async def _in_time(self, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError:
            raise KeyServiceAway(f"no answer in {WAIT_SECONDS:g} s") from None


service_of = cache(Service)
"""The provider of a name, in this process; one that cannot work says so when it is asked for something."""


def _tell(name: str, error: Exception) -> None:
    """Log why a provider cannot do its work; whoever waits for that asks again and again."""
    why = f"the key provider {name} cannot do its work: {error}"
    now = time.monotonic()
    if now - _told.get(why, -REMIND_SECONDS) < REMIND_SECONDS:
        return
    if len(_told) >= MAX_TOLD:
        _told.clear()
    _told[why] = now
    log.error("%s", why)


def _made(name: str) -> Provider:
    try:
        kind = import_string(PROVIDERS[name])
    except KeyError:
        raise BadProvider(f"there is no key provider {name!r}") from None
    except ImportError as error:
        raise BadProvider(f"the key provider {name} needs what is not installed: {error}") from error
    made: Provider = kind.by_settings()
    return made
