"""Begin a login, go on with it, end it.

`entry` is called when a change is handed to the writer: what is refused before leaves its entry elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.deadlines import deadline
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.actions.completion import to_the_end
from sessions_app.errors import Unauthenticated, WrongCode, WrongLogin
from sessions_app.factors.checking import CODE, factor_for_login, factor_of, use_of
from sessions_app.families import OpenFamily, RefreshStolen, RevokeFamily, RotateFamily
from sessions_app.keys import ring
from sessions_app.models import SecondFactor
from sessions_app.passwords import user_with
from sessions_app.scopes import Scopes, scope_text
from sessions_app.tokens import AccessToken, Claims, RefreshToken, key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a login or a refresh answers. `expires_in` is the life of the access token in seconds.

    `scope` is that of the tokens, None when they are not narrowed.
    """

    access: str
    refresh: str
    expires_in: int
    scope: str | None = None


async def log_in(
    username: str, password: str, entry: Callable[[], Entry], scopes: Scopes = None, code: str = ""
) -> TokenPair:
    """Begin a token family, whose tokens the scopes narrow. `code`: of the user's second factor, if any.

    Raises WrongLogin, whichever of them is wrong; FactorNeeded for a user who has to enrol a second factor first.
    """
    user = await user_with(username, password)
    factor = await in_database(factor_for_login, user)
    if factor is not None:
        try:
            await writer.submit(use_of(factor, code, replace(entry(), action=CODE)))
        except WrongCode:
            # which of the three was wrong is nobody's business
            raise WrongLogin() from None
    family, token_id = str(uuid7()), str(uuid7())
    opening = replace(entry(), user_id=str(user.pk), user=user.get_username())
    await writer.submit(
        OpenFamily(
            family=family,
            user_id=str(user.pk),
            token_id=token_id,
            expires_at=_refresh_expiry(),
            scope=scope_text(scopes),
            entry=opening,
        )
    )
    # a new password or second factor ends the logins that it finds: not one that was checked before and opened after it
    if not await in_database(_is_unchanged, user, factor):
        ending = replace(opening, action="auth/revoke", transport="system", resource_id=family)
        await writer.submit(RevokeFamily(family=family, why="the password or second factor was changed", entry=ending))
        raise WrongLogin()
    return await in_database(_pair, str(user.pk), family, token_id, scopes)


async def refresh(text: str, entry: Callable[[], Entry]) -> TokenPair:
    """Use a refresh token, once.

    Raises Unauthenticated; RefreshReused for a token that was used before, which ends its family when that was longer
    than `REFRESH_GRACE_SECONDS` ago.
    """
    claims = await _read_refresh(text)
    user = await in_database(_active_user, claims.user_id)
    rotation = replace(entry(), user_id=str(user.pk), user=user.get_username(), resource_id=claims.family)
    next_id = str(uuid7())
    command = RotateFamily(
        family=claims.family, token_id=claims.id, next_id=next_id, expires_at=_refresh_expiry(), entry=rotation
    )
    await to_the_end(_rotate(command, replace(rotation, action="auth/revoke", transport="system")))
    return await in_database(_pair, claims.user_id, claims.family, next_id, claims.scopes)


async def _rotate(command: RotateFamily, ending: Entry) -> None:
    try:
        await writer.submit(command)
    except RefreshStolen:
        # a thief who does not wait for the answer ends the family all the same
        deadline.set(None)
        await writer.submit(
            RevokeFamily(family=command.family, why="a used refresh token was used again", entry=ending)
        )
        raise


async def revoke(text: str, entry: Callable[[], Entry]) -> None:
    """End the family of a refresh token, its access tokens included; ending it again is no error.

    Raises Unauthenticated for what is no refresh token of ours.
    """
    claims = await _read_refresh(text)
    ending = replace(entry(), user_id=claims.user_id, resource_id=claims.family)
    await writer.submit(RevokeFamily(family=claims.family, why="revoked by its holder", entry=ending))


async def _read_refresh(text: str) -> Claims:
    kid = key_id(text)
    if ring.public(kid) is None:
        await in_database(ring.look_for, kid)
    return RefreshToken.read(text)


def _active_user(user_id: str) -> User:
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        raise Unauthenticated("The login that this token belongs to has ended.")
    return user


def _is_unchanged(user: User, factor: SecondFactor | None) -> bool:
    """Whether the password is still the one that was checked, and the second factor; one withdrawn since is none."""
    same_password = User.objects.filter(pk=user.pk, password=user.password).exists()
    now = factor_of(user)
    return same_password and (now is None or (factor is not None and now.pk == factor.pk))


def _pair(user_id: str, family: str, token_id: str, scopes: Scopes) -> TokenPair:
    return TokenPair(
        access=AccessToken.issue(user_id, family, str(uuid7()), scopes),
        refresh=RefreshToken.issue(user_id, family, token_id, scopes),
        expires_in=int(settings.ACCESS_TOKEN_SECONDS),
        scope=None if scopes is None else scope_text(scopes),
    )


def _refresh_expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
