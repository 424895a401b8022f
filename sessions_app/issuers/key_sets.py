"""The public keys of outside issuers, fetched from where the settings say, never from where a token says.

What is held is bounded: in number, in size, and in how often and how long it is fetched, whatever tokens come.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import jwt
import orjson
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from audit_app.deadlines import without_deadline
from audit_app.errors import Unavailable
from audit_app.recovery import log_failure
from sessions_app.issuers.configuration import Issuer

MAX_KEYS = 32
MAX_BYTES = 256 * 1024
MAX_KID_CHARACTERS = 256
MIN_RSA_BITS = 2048
FETCH_SECONDS = 5.0
REFETCH_SECONDS = 30.0
"""At least so long between two fetches, also when they fail and whatever key ids come."""
FRESH_SECONDS = 600.0
"""After so long the keys are fetched anew: one that the issuer has withdrawn is not trusted for longer."""
STALE_SECONDS = 3600.0
"""For so long keys are good while the issuer does not answer."""

log = logging.getLogger(__name__)


class BadKeySet(ValueError):
    """What an issuer answered is no set of keys."""


class KeySet:
    """The keys of one issuer, as this process holds them."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id; None when the issuer has none. Raises Unavailable when no keys can be had.

        Fetches when the keys are old or do not have this one, unless that was tried a moment ago. Whoever asks
        meanwhile waits for the same fetch.
        """
        age = time.monotonic() - self._fetched_at
        if age >= FRESH_SECONDS or kid not in self._keys:
            await self._fetch()
            age = time.monotonic() - self._fetched_at
        if age >= STALE_SECONDS:
            raise Unavailable("The keys of the token's issuer cannot be had.")
        return self._keys.get(kid)

    async def _fetch(self) -> None:
        if self._fetching is None:
            if time.monotonic() - self._tried_at < REFETCH_SECONDS:
                return
            self._tried_at = time.monotonic()
            self._fetching = asyncio.create_task(self._refresh(), context=without_deadline())
            self._fetching.add_done_callback(self._fetched)
        await asyncio.shield(self._fetching)

    async def _refresh(self) -> None:
        try:
            self._keys = await asyncio.to_thread(fetch_keys, self.issuer)
            self._fetched_at = time.monotonic()
        except (urllib3.exceptions.HTTPError, OSError, BadKeySet) as error:
            log_failure(log, Unavailable(str(error)), "the keys of the issuer %s cannot be had", self.issuer.issuer)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None


def fetch_keys(issuer: Issuer) -> dict[str, jwt.PyJWK]:
    """The issuer's keys that may sign, by their ids. Raises HTTPError (urllib3) or BadKeySet."""
    timeout = urllib3.Timeout(total=FETCH_SECONDS)
    with urllib3.PoolManager(num_pools=1, timeout=timeout, retries=False) as pool:
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        response = pool.request("GET", issuer.jwks_url, headers=headers, redirect=False, preload_content=False)
        try:
            if response.status != 200:
                raise BadKeySet(f"HTTP {response.status}")
            return keys_in(_body(response), issuer)
        finally:
            response.close()


def keys_in(body: bytes, issuer: Issuer) -> dict[str, jwt.PyJWK]:
    """The keys in a set that may sign by the issuer's algorithms; others are left out. Raises BadKeySet."""
    try:
        found = orjson.loads(body)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadKeySet("the answer is no set of keys") from None
    if not isinstance(found, list) or len(found) > MAX_KEYS:
        raise BadKeySet(f"the answer has no list of at most {MAX_KEYS} keys")
    return {one["kid"]: key for one in found if (key := _key(one, issuer)) is not None}


def _key(found: Any, issuer: Issuer) -> jwt.PyJWK | None:
    if not isinstance(found, dict) or found.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    kid = found.get("kid")
    if not isinstance(kid, str) or not kid or len(kid) > MAX_KID_CHARACTERS or found.get("use", "sig") != "sig":
        return None
    if found.get("alg", issuer.algorithms[0]) not in issuer.algorithms:
        return None
    try:
        key = jwt.PyJWK(found)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return None if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS else key


def _body(response: urllib3.BaseHTTPResponse) -> bytes:
    until = time.monotonic() + FETCH_SECONDS
    body = b""
    while chunk := response.read1(MAX_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_BYTES or time.monotonic() > until:
            raise BadKeySet(f"the answer has more than {MAX_BYTES} bytes, or takes more than {FETCH_SECONDS:g} s")
    return body
