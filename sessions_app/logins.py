"""Ending the logins of a user, when what they were made with is not good any more."""

from collections.abc import Callable

from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.families import RevokeFamily
from sessions_app.models import ApiKey, TokenFamily

EntryOf = Callable[[str, str, str], Entry]
"""Makes the entry of an action on a resource, which is named by its type and id."""


def end_logins(user_id: int, why: str, entry_of: EntryOf) -> None:
    """Revoke every login of a user over the API. API keys know of no password, and stay. Raises what the writer raises.

    Blocks: not for the event loop.
    """
    logins = TokenFamily.objects.exclude(id__in=ApiKey.objects.values("id"))
    for family in logins.filter(user_id=user_id, revoked_at=None).values_list("id", flat=True):
        writer.run(RevokeFamily(family=family, why=why, entry=entry_of("auth/revoke", "family", family)))
