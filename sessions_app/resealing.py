"""Bringing kept sessions in line with the rules. Nothing of a session changes by that, so nobody is told."""

from collections.abc import Mapping, Sequence
from functools import partial

from audit_app.database import in_database
from audit_app.writer import writer
from encryption_app.data_keys import data_keys
from encryption_app.envelope import DataKey
from encryption_app.errors import ContentTampered, KeysAway
from encryption_app.progress import Failure, Progress, is_worth_waiting, reason_of
from sessions_app import shared
from sessions_app.models import Session
from sessions_app.sealed import is_encrypted, key_for
from sessions_app.states import LIVING
from sessions_app.upkeep import SealSessions


async def reseal_sessions(after: str, limit: int, *, is_patient: bool) -> Progress:
    """Bring the next sessions behind an id in line with the rules, those of the backend `database`.

    What does not open is passed by. Raises KeysAway while a provider does not answer, if `is_patient`.
    """
    found = await in_database(_firsts, after, limit)
    if not found:
        return Progress(after=None)
    wrong = [(id, user) for id, user, is_sealed in found if is_sealed is not is_encrypted(user)]
    count, failures = await _reseal(wrong, is_patient)
    return Progress(after=found[-1][0], count=count, failures=failures)


def plain_sessions(user_id: str) -> int:
    """How many sessions of a user are kept without encryption, of the backend `database`. Reads the database."""
    return Session.objects.filter(user_id=user_id, state__in=LIVING, sealed=b"").count()


async def _reseal(sessions: Sequence[tuple[str, str]], is_patient: bool) -> tuple[int, Sequence[Failure]]:
    """How many were changed, and which could not be."""
    if not sessions:
        return 0, ()
    try:
        count: int = await data_keys.opening(partial(_submit, sessions))
    except (ContentTampered, KeysAway) as refusal:
        if is_patient and is_worth_waiting(refusal):
            raise
        if len(sessions) == 1:
            return 0, [Failure("session", sessions[0][0], reason_of(refusal))]
        parts = [await _reseal([one], is_patient) for one in sessions]
        return sum(count for count, _ in parts), [failure for _, failures in parts for failure in failures]
    # what nodes have copied from before is in plain text
    await in_database(shared.drop_copies, [id for id, _ in sessions])
    return count, ()


async def _submit(sessions: Sequence[tuple[str, str]]) -> int:
    keys: Mapping[str, DataKey | None] = {user: await key_for(user) for _, user in sessions}
    command = SealSessions(keys={id: keys[user] for id, user in sessions})
    count: int = await writer.submit(command)
    return count


def _firsts(after: str, limit: int) -> list[tuple[str, str, bool]]:
    """Of each session its id, its user, and whether it is encrypted."""
    rows = Session.objects.filter(id__gt=after, state__in=LIVING).order_by("id")
    return [(id, str(user), bool(sealed)) for id, user, sealed in rows.values_list("id", "user_id", "sealed")[:limit]]
