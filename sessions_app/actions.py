"""What changes tokens and sessions on behalf of callers.

`entry` is called when a change is handed to the writer: what is refused before leaves its entry elsewhere.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.deadlines import deadline
from audit_app.errors import Refusal
from audit_app.once import Replayed
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.envelope import DataKey
from encryption_app.submission import submit_sealing
from sessions_app import shared
from sessions_app.api_keys import OpenKey, new_key
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden, Unauthenticated, WrongCode, WrongLogin
from sessions_app.factors.checking import CODE, factor_for_login, factor_of, use_of
from sessions_app.families import OpenFamily, RefreshStolen, RevokeFamily, RotateFamily
from sessions_app.keys import ring
from sessions_app.models import ApiKey, SecondFactor
from sessions_app.passwords import user_with
from sessions_app.queries import find_key, find_session
from sessions_app.records import Backend, SessionRecord
from sessions_app.scopes import Scopes, scope_text
from sessions_app.sealed import key_for, opener_of, sealed, sealing
from sessions_app.sessions import new_session
from sessions_app.states import NEXT, Reason, State, step
from sessions_app.store import CreateSession, MoveSession, UpdateSession
from sessions_app.tokens import AccessToken, Claims, RefreshToken, key_id

T = TypeVar("T")
Entries = Callable[[], Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a login or a refresh answers. `expires_in` is the life of the access token in seconds.

    `scope` is that of the tokens, None when they are not narrowed.
    """

    access: str
    refresh: str
    expires_in: int
    scope: str | None = None


async def log_in(username: str, password: str, entry: Entries, scopes: Scopes = None, code: str = "") -> TokenPair:
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


async def refresh(text: str, entry: Entries) -> TokenPair:
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
    await _to_the_end(_rotate(command, replace(rotation, action="auth/revoke", transport="system")))
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


async def revoke(text: str, entry: Entries) -> None:
    """End the family of a refresh token, its access tokens included; ending it again is no error.

    Raises Unauthenticated for what is no refresh token of ours.
    """
    claims = await _read_refresh(text)
    ending = replace(entry(), user_id=claims.user_id, resource_id=claims.family)
    await writer.submit(RevokeFamily(family=claims.family, why="revoked by its holder", entry=ending))


async def create_key(
    caller: Caller, *, label: str, scopes: Scopes, expires_in: int, entry: Callable[[str], Entry]
) -> tuple[ApiKey, str]:
    """A new API key of a caller, and its text; no wider than what the caller shows, whose scopes it has by default.

    `entry` is given its id. Raises Forbidden for a wider one, and for a caller that shows an API key itself: keys that
    make keys would not end.
    """
    if caller.is_machine:
        raise Forbidden("API keys make no API keys: log in for that.")
    if scopes is None:
        scopes = caller.scopes
    # a key of no scope would not be narrowed at all
    if caller.scopes is not None and not (scopes and scopes <= caller.scopes):
        raise Forbidden("An API key is no wider than the token that it is made with.")
    key, scope = new_key(), scope_text(scopes)
    row: ApiKey = await writer.submit(
        OpenKey(
            key=key.id,
            user_id=caller.user_id,
            label=label,
            digest=key.digest,
            scope=scope,
            expires_at=datetime.now(UTC) + timedelta(seconds=expires_in),
            entry=entry(key.id),
        )
    )
    return row, key.text


async def revoke_key(caller: Caller, id: str, user_id: str | None, entry: Entries) -> None:
    """End an API key of a user (None: of anybody); ending it again is no error.

    Raises KeyNotFound; Forbidden for a caller that shows an API key and means another one of its user.
    """
    await in_database(find_key, id, user_id)
    if caller.is_machine and user_id is not None and id != caller.family:
        raise Forbidden("An API key revokes no other one.")
    await writer.submit(RevokeFamily(family=id, why="revoked by its holder", entry=entry()))


async def create_session(
    caller: Caller, *, backend: Backend, label: str, client_id: str, metadata: Mapping[str, Any], entry: Entries
) -> SessionRecord:
    """A further session of a caller.

    Raises TooManySessions; Unavailable when the cache does not keep one of the backend `cache`.
    """
    record = new_session(caller, client_id=client_id)
    record.backend, record.label, record.metadata = backend, label, dict(metadata)

    async def key() -> DataKey | None:
        """The data key of the session, which the cache has before the writer hears of it."""
        found = await key_for(record.user_id)
        if backend == "cache":
            active = replace(record, state=step(record.state, State.ACTIVE))
            record.place = (await in_database(shared.add_session, sealed(active, found))).place
        return found

    creation = submit_sealing(
        key, lambda left, key: CreateSession(record=sealed(record, key), entry=sealing(left, key)), entry
    )
    created: SessionRecord = await (_to_the_end(_create_cached(record, creation)) if backend == "cache" else creation)
    return created


async def update_session(
    id: str, user_id: str | None, label: str | None, metadata: Mapping[str, Any] | None, entry: Entries
) -> SessionRecord:
    """Set a session's label, metadata or both. Raises SessionNotFound; as `submit_sealing` and `open_session` do."""
    before = await in_database(find_session, id, user_id)
    is_cached = before.backend == "cache"

    def command(left: Entry, key: DataKey | None) -> UpdateSession:
        return UpdateSession(
            session=id,
            user_id=user_id,
            user=before.user,
            label=label,
            metadata=metadata,
            cached=before if is_cached else None,
            key=key,
            entry=sealing(left, key),
        )

    update = submit_sealing(partial(key_for, before.user_id), command, entry)
    after: SessionRecord = await (_to_the_end(_update_cached(update)) if is_cached else update)
    return after


async def move_session(
    id: str, user_id: str | None, to: State, entry: Entries, reason: Reason = Reason.NONE
) -> SessionRecord:
    """Move a session along the graph; every node knows within a second. Raises SessionNotFound, IllegalTransition.

    That needs no key: without one, the result is locked.
    """
    before = await in_database(find_session, id, user_id)
    cached = before if before.backend == "cache" else None
    key = await opener_of(before)
    command = MoveSession(
        session=id,
        user_id=user_id,
        user=before.user,
        to=to,
        reason=reason,
        cached=cached,
        key=key,
        entry=sealing(entry(), key),
    )
    if cached is None:
        after: SessionRecord = await writer.submit(command)
        return after
    return await _to_the_end(_move_cached(command, cached))


async def _create_cached(record: SessionRecord, creation: Coroutine[Any, Any, SessionRecord]) -> SessionRecord:
    try:
        return await creation
    except (Refusal, Replayed):
        # what was not made takes no place from what is made next
        deadline.set(None)
        await in_database(shared.drop_session, record)
        raise


async def _move_cached(command: MoveSession, cached: SessionRecord) -> SessionRecord:
    # before the event goes out, so that whoever hears of it finds the new state
    if command.to in NEXT[cached.state]:
        await in_database(shared.put_session, replace(cached, state=command.to, reason=command.reason))
    try:
        after: SessionRecord = await writer.submit(command)
    except (Refusal, Replayed):
        # the cache is told what is true, however late
        deadline.set(None)
        await in_database(shared.put_session, cached)
        raise
    return after


async def _update_cached(update: Coroutine[Any, Any, SessionRecord]) -> SessionRecord:
    after = await update
    deadline.set(None)
    await in_database(shared.put_session, after)
    return after


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do all of something, also when whoever waits for it gives up: half of it must not be left to be believed."""
    task = asyncio.create_task(work)
    # they may not hear of its failure
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


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
