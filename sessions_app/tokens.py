"""Access and refresh tokens: simplejwt's, signed RS256 by our own keys and bound to a family (contract §2, §7).

Only the key ids of the ring are accepted; where a token says its key is to be fetched (jku, x5u, jwk) is never read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import Token

from sessions_app.errors import Unauthenticated
from sessions_app.key_store import ALGORITHM
from sessions_app.keys import ring
from sessions_app.scopes import Scopes, claimed_scope, scope_text

MAX_TOKEN_CHARACTERS = 4096
LEEWAY_SECONDS = 5.0
"""By how much the clocks of machines may differ for the beginning of a token; its end is as its issuer's clock says."""
REQUIRED = ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "fam", "token_type"]


class RingBackend(TokenBackend):
    """Encodes and decodes with the keys of the ring, and insists on every claim that we set."""

    def encode(self, payload: dict[str, Any]) -> str:
        kid, key = ring.signing()
        claims = payload | {"aud": self.audience, "iss": self.issuer}
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        key = ring.public(key_id(token))
        if key is None:
            raise TokenBackendError("the key is not ours")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[self.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED, "strict_aud": True},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise TokenBackendError(str(error)) from None


class FamilyToken(Token):
    """A token of a family. Only `issue` makes one, only `read` accepts one."""

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        self.lifetime = timedelta(seconds=self.life())
        super().__init__(token, verify)

    @classmethod
    def life(cls) -> float:
        """For how many seconds a token of this kind is good."""
        raise NotImplementedError

    def set_exp(self, claim: str = "exp", from_time: datetime | None = None, lifetime: timedelta | None = None) -> None:
        """Its end in whole seconds, rounded up: a token is good for at least as long as `expires_in` says."""
        end = (from_time or self.current_time) + (lifetime or timedelta(seconds=self.life()))
        self.payload[claim] = ceil(end.timestamp())

    def get_token_backend(self) -> TokenBackend:
        return RingBackend(ALGORITHM, audience=settings.TOKEN_AUDIENCE, issuer=settings.TOKEN_ISSUER)

    @classmethod
    def issue(cls, user_id: str, family: str, token_id: str, scopes: Scopes = None) -> str:
        """A signed token. May read the database for the signing key."""
        token = cls()
        token.payload |= {"sub": user_id, "fam": family, "jti": token_id, "nbf": token.payload["iat"]}
        if scopes is not None:
            token.payload["scope"] = scope_text(scopes)
        return str(token)

    @classmethod
    def read(cls, text: str) -> "Claims":
        """What a token of this kind says. Raises Unauthenticated unless it is ours, of this kind, and valid now."""
        try:
            payload = cls(text).payload
            user_id = str(int(payload["sub"]))
            scopes = claimed_scope(payload)
        except (TokenError, ValueError):
            raise Unauthenticated("The token is not valid.") from None
        return Claims(
            user_id=user_id, family=payload["fam"], id=payload["jti"], expires_at=payload["exp"], scopes=scopes
        )


class AccessToken(FamilyToken):
    """What requests show. Its life is short; revoking its family ends it at once."""

    token_type = "access"  # noqa: S105

    @classmethod
    def life(cls) -> float:
        return float(settings.ACCESS_TOKEN_SECONDS)


class RefreshToken(FamilyToken):
    """What buys the next pair of tokens, once."""

    token_type = "refresh"  # noqa: S105

    @classmethod
    def life(cls) -> float:
        return float(settings.REFRESH_TOKEN_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says. `expires_at` is Unix time in seconds."""

    user_id: str
    family: str
    id: str
    expires_at: float
    scopes: Scopes = None


def key_id(text: str) -> str:
    """The id of the key that a token claims to be signed with. Raises Unauthenticated when it is no such token."""
    if len(text) > MAX_TOKEN_CHARACTERS:
        raise Unauthenticated("The token is not valid.")
    try:
        kid = jwt.get_unverified_header(text).get("kid")
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        kid = None
    if not isinstance(kid, str):
        raise Unauthenticated("The token is not valid.")
    return kid
