"""From a bearer token, or a user of the Django admin, to a caller (contract §2, §6).

A verified token is held until it expires. A control event that revokes its family or changes its user drops it on every
node, so holding it is as good as asking the database each time.
"""

import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Protocol

from django.contrib.auth.models import AbstractUser, User
from django.utils.timezone import now

from audit_app.database import in_database
from audit_app.writer import writer
from resources_app.hub.hub import hub
from resources_app.log.control import ControlEvent
from sessions_app.access.decisions import UserRights
from sessions_app.access.rules import EVERYONE, group_principal, user_principal
from sessions_app.api_keys import MARK, id_of, uses
from sessions_app.caches import Memory
from sessions_app.callers import Caller
from sessions_app.errors import Unauthenticated
from sessions_app.issuers.admission import admission, check_admission, family_of, find_guest
from sessions_app.issuers.configuration import Issuer
from sessions_app.issuers.tokens import HERE, OutsideClaims, issuer_of, read_outside
from sessions_app.keys import ring
from sessions_app.limits import check_address
from sessions_app.models import ApiKey, TokenFamily
from sessions_app.permissions import ALL, DJANGO_NAMES
from sessions_app.scopes import Scopes, kept_scope, narrowed
from sessions_app.tokens import AccessToken, Claims, key_id
from telemetry_app.metrics import CACHE_REQUESTS

MAX_HELD = 20_000
ADMIN_SECONDS = 60.0
UNKNOWN = ("0" * 64, 0, "", datetime.min.replace(tzinfo=UTC))
"""What stands for the row of an API key that is not there; no key has that hash."""

HITS = CACHE_REQUESTS.labels("tokens", "hit")
MISSES = CACHE_REQUESTS.labels("tokens", "miss")


class Credentials(Protocol):
    """What a caller shows: a bearer token, or a user whom Django's admin has authenticated.

    `audience` is whom a token of an outside issuer has to be for; None: whom its issuer's setting names.
    """

    @property
    def token(self) -> str | None: ...
    @property
    def user(self) -> Any: ...
    @property
    def audience(self) -> str | None: ...


class Tokens:
    """The verified tokens of this process, by the SHA-256 of their text.

    Of one that was dropped it is still known for a while that it was good when it was verified last.
    """

    def __init__(self) -> None:
        self._callers: Memory[bytes, Caller] = Memory(MAX_HELD, self._forget)
        self._proven: Memory[bytes, bool] = Memory(MAX_HELD)
        self._of_family: dict[str, set[bytes]] = defaultdict(set)
        self._of_user: dict[str, set[bytes]] = defaultdict(set)
        self.drops = 0

    def get(self, digest: bytes) -> Caller | None:
        return self._callers.get(digest)

    def put(self, digest: bytes, caller: Caller) -> None:
        self._of_family[caller.family].add(digest)
        self._of_user[caller.user_id].add(digest)
        self._callers.put(digest, caller)
        self._proven.put(digest, True)

    def was_good(self, digest: bytes) -> bool:
        return self._proven.get(digest) is not None

    def note_bad(self, digest: bytes) -> None:
        """A token was verified, and is not good, or not any more."""
        self._proven.drop(digest)

    def drop(self, digest: bytes) -> None:
        self._callers.drop(digest)

    def drop_family(self, family: str) -> None:
        self._drop_all(self._of_family.get(family))

    def drop_user(self, user_id: str) -> None:
        self._drop_all(self._of_user.get(user_id))

    def clear(self) -> None:
        self.drops += 1
        self._callers.clear()

    def _drop_all(self, digests: set[bytes] | None) -> None:
        self.drops += 1
        for digest in list(digests or ()):
            self._callers.drop(digest)

    def _forget(self, digest: bytes, caller: Caller) -> None:
        for index, key in ((self._of_family, caller.family), (self._of_user, caller.user_id)):
            index[key].discard(digest)
            if not index[key]:
                del index[key]


tokens = Tokens()


async def authenticate(credentials: Credentials | None, address: str | None = None) -> Caller:
    """The caller behind the credentials. Suspends only for a token that this process does not know yet.

    Raises Unauthenticated; RateLimited, before anything is verified, when too many bad ones came from the address, if
    one is given.
    """
    if credentials is None:
        raise Unauthenticated()
    token = credentials.token
    if token is None:
        if credentials.user is None:
            raise Unauthenticated()
        return await in_database(_admin_caller, credentials.user.pk)
    digest = sha256(token.encode(errors="replace")).digest()
    caller = tokens.get(digest)
    if caller is not None and hub.started:
        if caller.expires_at > time.time():
            if caller.audiences is not None:
                _check_audience(caller.audiences, credentials)
            HITS.inc()
            if caller.is_machine:
                uses.note(caller.family)
            return caller
        tokens.drop(digest)
        raise Unauthenticated("The token has expired.")
    MISSES.inc()
    # a connection that stays shows its token again and again: others at its address do not cut it off
    if address is not None and not tokens.was_good(digest):
        check_address(address)
    try:
        return await _verify(token, digest, credentials.audience)
    except Unauthenticated:
        tokens.note_bad(digest)
        raise


def follow_tokens(event: ControlEvent) -> None:
    """Drop what a control event makes untrue. To be called in the event loop, for every one."""
    if event.kind == "family.revoked":
        tokens.drop_family(event.subject)
    elif event.kind == "user.changed":
        tokens.drop_user(event.subject)


def permissions_of(user: AbstractUser) -> frozenset[str]:
    """What a user may do: everything for a superuser, nothing for one who is not active. Reads the database."""
    if not user.is_active:
        return frozenset()
    if user.is_superuser:
        return ALL
    granted = user.get_all_permissions()
    return frozenset(name for name, django_name in DJANGO_NAMES.items() if django_name in granted)


def principals_of(user: AbstractUser) -> frozenset[str]:
    """Whom access rules know a user by; nobody, for one who is not active. Reads the database."""
    if not user.is_active:
        return frozenset()
    groups = user.groups.values_list("pk", flat=True)
    return frozenset({EVERYONE, user_principal(user.pk), *map(group_principal, groups)})


def rights_of(user: AbstractUser) -> UserRights:
    """What a user may by whatever token is not narrowed. Reads the database."""
    return UserRights(
        principals=principals_of(user),
        permissions=permissions_of(user),
        is_superuser=user.is_superuser and user.is_active,
    )


async def _verify(token: str, digest: bytes, audience: str | None) -> Caller:
    drops = tokens.drops
    if token.startswith(MARK):
        caller = await in_database(_key_caller, token, digest)
        uses.note(caller.family)
    elif (issuer := issuer_of(token)) is not None:
        caller = await _outside_caller(token, issuer, audience)
    else:
        kid = key_id(token)
        if ring.public(kid) is None:
            await in_database(ring.look_for, kid)
        caller = await in_database(_token_caller, AccessToken.read(token))
    if hub.started and tokens.drops == drops:
        tokens.put(digest, caller)
    return caller


async def _outside_caller(token: str, issuer: Issuer, audience: str | None) -> Caller:
    """The caller of a token of an outside issuer, who is let in by the first one, and by each later one anew."""
    claims = await read_outside(token, issuer, audience)
    if await in_database(find_guest, claims) is None:
        await in_database(check_admission, claims)
        await writer.submit(admission(claims))
    return await in_database(_guest_caller, claims)


def _guest_caller(claims: OutsideClaims) -> Caller:
    caller = _caller(find_guest(claims), family_of(claims), claims.expires_at, claims.scopes)
    return replace(caller, audiences=claims.audiences)


def _check_audience(audiences: frozenset[str], credentials: Credentials) -> None:
    """Raise Unauthenticated for a token of an outside issuer that is good for something else here."""
    if (credentials.audience or HERE) not in audiences:
        raise Unauthenticated("The token is not valid.")


def _token_caller(claims: Claims) -> Caller:
    found = TokenFamily.objects.filter(id=claims.family, user_id=claims.user_id, revoked_at=None).exists()
    user = User.objects.filter(pk=claims.user_id).first() if found else None
    return _caller(user, claims.family, claims.expires_at, claims.scopes)


def _key_caller(text: str, digest: bytes) -> Caller:
    """The caller of an API key. One that is unknown costs as much as one whose secret is wrong."""
    key = id_of(text) or ""
    row = ApiKey.objects.filter(id=key).values_list("digest", "user_id", "scope", "expires_at").first()
    kept, user_id, scope, expires_at = row or UNKNOWN
    if not compare_digest(kept, digest.hex()) or expires_at <= now():
        raise Unauthenticated("The API key is not valid.")
    found = TokenFamily.objects.filter(id=key, revoked_at=None).exists()
    user = User.objects.filter(pk=user_id).first() if found else None
    return _caller(user, key, expires_at.timestamp(), kept_scope(scope), is_machine=True)


def _admin_caller(user_id: int) -> Caller:
    return _caller(User.objects.filter(pk=user_id).first(), "", time.time() + ADMIN_SECONDS)


def _caller(
    user: AbstractUser | None, family: str, expires_at: float, scopes: Scopes = None, *, is_machine: bool = False
) -> Caller:
    if user is None or not user.is_active:
        raise Unauthenticated("The login or the API key has ended.")
    granted = permissions_of(user)
    return Caller(
        user_id=str(user.pk),
        name=user.get_username(),
        permissions=narrowed(granted, scopes),
        principals=principals_of(user),
        is_superuser=user.is_superuser,
        family=family,
        expires_at=expires_at,
        scopes=scopes,
        granted=granted,
        is_machine=is_machine,
    )
