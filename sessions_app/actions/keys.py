"""Make API keys and end them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from audit_app.database import in_database
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.api_keys import OpenKey, new_key
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden
from sessions_app.families import RevokeFamily
from sessions_app.models import ApiKey
from sessions_app.queries import find_key
from sessions_app.scopes import Scopes, scope_text


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


async def revoke_key(caller: Caller, id: str, user_id: str | None, entry: Callable[[], Entry]) -> None:
    """End an API key of a user (None: of anybody); ending it again is no error.

    Raises KeyNotFound; Forbidden for a caller that shows an API key and means another one of its user.
    """
    await in_database(find_key, id, user_id)
    if caller.is_machine and user_id is not None and id != caller.family:
        raise Forbidden("An API key revokes no other one.")
    await writer.submit(RevokeFamily(family=id, why="revoked by its holder", entry=entry()))
