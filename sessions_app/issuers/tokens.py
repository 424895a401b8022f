"""Tokens of outside issuers: verified by their keys, with everything pinned that a token could choose (RFC 8725)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from sessions_app.errors import Unauthenticated
from sessions_app.issuers.configuration import Issuer
from sessions_app.issuers.key_sets import KeySet
from sessions_app.scopes import Scopes, claimed_scope
from sessions_app.tokens import LEEWAY_SECONDS

MAX_TOKEN_CHARACTERS = 8192
MAX_TIME = 1e10
HERE = ""
"""An audience: that which the setting of the issuer names."""

USERNAME = User._meta.get_field("username")
REQUIRED = ["iss", "aud", "exp", "iat"]

_key_sets: dict[str, KeySet] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideClaims:
    """What a verified token of an outside issuer says; times are Unix time in seconds.

    `groups` are those of ours that its groups stand for, None when the issuer says nothing of groups. `audiences` are
    whom the token is for; HERE is among them if the issuer's setting names one.
    """

    issuer: Issuer
    username: str
    issued_at: float
    expires_at: float
    groups: frozenset[str] | None
    scopes: Scopes
    audiences: frozenset[str] = frozenset()


def issuer_of(text: str) -> Issuer | None:
    """The outside issuer that a token claims to be from, unverified; None for all others."""
    issuers: Mapping[str, Issuer] = settings.TRUSTED_ISSUERS
    if not issuers or len(text) > MAX_TOKEN_CHARACTERS:
        return None
    try:
        named = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return issuers.get(named) if isinstance(named, str) else None


def key_set(issuer: Issuer) -> KeySet:
    """The keys of an issuer, as this process holds them."""
    found = _key_sets.get(issuer.issuer)
    if found is None or found.issuer is not issuer:
        found = _key_sets[issuer.issuer] = KeySet(issuer)
    return found


async def read_outside(text: str, issuer: Issuer, audience: str | None = None) -> OutsideClaims:
    """What a token of an issuer says. Suspends when the issuer's keys have to be fetched.

    `audience` is whom it has to be for, the issuer's own setting unless it is said.

    Raises Unauthenticated unless it is the issuer's, for us, and valid now; Unavailable when its keys cannot be had.
    """
    try:
        header = jwt.get_unverified_header(text)
        kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
        if not isinstance(kid, str) or algorithm not in issuer.algorithms or not _is_type(kind, issuer):
            raise ValueError("the header is not one that this issuer uses")
        key = await key_set(issuer).key(kid)
        if key is None:
            raise ValueError("the issuer has no such key")
        claims = jwt.decode(
            text,
            key,
            algorithms=[algorithm],
            audience=audience or issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": [*REQUIRED, issuer.user_claim]},
        )
        return _claims(claims, issuer)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthenticated("The token is not valid.") from None


def _claims(claims: Mapping[str, Any], issuer: Issuer) -> OutsideClaims:
    """Raises ValueError, TypeError."""
    issued_at, expires_at = float(claims["iat"]), float(claims["exp"])
    if not 0 <= issued_at <= expires_at < MAX_TIME or expires_at <= time.time():
        raise ValueError("the token has expired, or its times make no sense")
    scopes = None
    if issuer.scopes:
        scopes = claimed_scope({"scope": "", **claims})
    return OutsideClaims(
        issuer=issuer,
        username=_username(claims[issuer.user_claim], issuer),
        issued_at=issued_at,
        expires_at=expires_at,
        groups=_groups(claims, issuer),
        scopes=scopes,
        audiences=_audiences(claims["aud"], issuer),
    )


def _audiences(named: Any, issuer: Issuer) -> frozenset[str]:
    audiences = {named} if isinstance(named, str) else set(named)
    return frozenset(audiences | {HERE} if issuer.audience in audiences else audiences)


def _username(name: Any, issuer: Issuer) -> str:
    """Raises ValueError for what no user here can be called."""
    if not isinstance(name, str) or not name:
        raise ValueError("the token names no user")
    username = issuer.prefix + name
    try:
        USERNAME.clean(username, None)
    except ValidationError:
        raise ValueError("the name is none of a user") from None
    if User.normalize_username(username) != username:
        # it would be written differently here, and could be somebody else's
        raise ValueError("the name is not in its normal form")
    return username


def _groups(claims: Mapping[str, Any], issuer: Issuer) -> frozenset[str] | None:
    """Our groups that the token's stand for; a token without the claim is one of a user without groups."""
    if not issuer.groups_claim:
        return None
    theirs = claims.get(issuer.groups_claim, [])
    if not isinstance(theirs, list):
        raise ValueError("the claim of groups is no list")
    return frozenset(issuer.groups[group] for group in theirs if isinstance(group, str) and group in issuer.groups)


def _is_type(kind: Any, issuer: Issuer) -> bool:
    """Whether the header `typ` is one of the issuer's, which keeps its ID tokens from passing for access tokens."""
    return isinstance(kind, str) and kind.lower().removeprefix("application/") in {one.lower() for one in issuer.types}
