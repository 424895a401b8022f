"""Crypto-shredding of what the sessions of a user know: gone with its data key, in tables, caches and backups."""

from audit_app.database import in_database
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.commands import DestroyDataKeys
from encryption_app.data_keys import data_keys
from encryption_app.queries import destroyed_keys, living_key
from resources_app.shredding import NotEncrypted, told_destroyed
from sessions_app.errors import SessionNotFound
from sessions_app.models import Session
from sessions_app.resealing import plain_sessions
from sessions_app.sealed import sealer_of, subject_of
from sessions_app.sessions import stored_sessions
from sessions_app.states import LIVING, State
from sessions_app.upkeep import SweepSessions

MAX_SESSIONS = 100_000


async def destroy_contexts(user_id: str, entry: Entry) -> int:
    """Destroy what the sessions of a user know, and end them; how many were ended.

    Those that are opened afterwards have a new key. Called again, it does what is left to be done. Raises NotEncrypted
    while one is kept without encryption, and SessionNotFound when there is nothing to destroy.
    """
    if plain := await in_database(plain_sessions, user_id):
        raise NotEncrypted(plain_sessions=plain)
    key = await in_database(living_key, subject_of(user_id))
    if key is not None:
        await writer.submit(DestroyDataKeys(ids=[key.id], told=told_destroyed, entry=entry))
        data_keys.held.destroy(key.id)
    ids = await in_database(_without_key, user_id)
    if not ids and key is None:
        raise SessionNotFound("This user has no sessions whose key could be destroyed.")
    if not ids:
        return 0
    why = "what they know was destroyed"
    ended: int = await writer.submit(SweepSessions(sessions=ids, to=State.TERMINATING, why=why, entry=entry))
    return ended


def _without_key(user_id: str) -> list[str]:
    """The sessions of a user whose data keys are destroyed."""
    rows = Session.objects.filter(user_id=user_id, state__in=LIVING)
    sealers = {record.id: sealer_of(record) for record in stored_sessions(rows, MAX_SESSIONS)}
    gone = destroyed_keys(set(sealers.values()))
    return [id for id, sealer in sealers.items() if sealer in gone]
