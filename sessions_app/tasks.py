"""The upkeep of sessions and tokens that Celery runs (contract §6). What a run does not get done, the next one does."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from asgiref.sync import async_to_sync
from celery import shared_task
from django.conf import settings
from django.utils.timezone import now

from audit_app.errors import Unavailable
from audit_app.system import system_entry
from audit_app.writer import writer
from sessions_app.access.queries import expired_rules
from sessions_app.access.store import DropRules
from sessions_app.families import DropFamilies
from sessions_app.key_store import DropKeys, key_entry
from sessions_app.queries import (
    abandoned_sessions,
    ended_sessions,
    expired_families,
    idle_sessions,
    orphaned_sessions,
    spent_keys,
    unready_sessions,
)
from sessions_app.reencryption import reencrypt
from sessions_app.sessions import activity_interval
from sessions_app.states import Reason, State
from sessions_app.upkeep import DestroySessions, SweepSessions

log = logging.getLogger(__name__)

Upkeep = SweepSessions | DestroySessions | DropFamilies | DropRules

REENCRYPTION_SECONDS = 20.0
BATCH = 500
MAX_BATCHES = 100
KEEP_EXPIRED = timedelta(days=1)


@shared_task
def expire_idle_sessions() -> int:
    """Suspend the sessions that have not been used for `SESSION_IDLE_SECONDS`. Returns how many.

    Activity is written down every `activity_interval` seconds, so a session is given that much longer. One whose client
    never said that it is ready becomes like the others first: nothing ends that has not begun.
    """
    since = now() - timedelta(seconds=settings.SESSION_IDLE_SECONDS + activity_interval())
    _in_batches(
        lambda limit: unready_sessions(since, limit),
        lambda ids: SweepSessions(
            sessions=ids,
            to=State.ACTIVE,
            idle_since=since,
            why="never ready",
            entry=system_entry("sessions/update", "session"),
        ),
    )
    return _in_batches(
        lambda limit: idle_sessions(since, limit),
        lambda ids: SweepSessions(
            sessions=ids,
            to=State.SUSPENDED,
            reason=Reason.IDLE,
            idle_since=since,
            why="idle",
            entry=system_entry("sessions/suspend", "session"),
        ),
    )


@shared_task
def clean_sessions() -> int:
    """End the sessions that nobody can use any more, destroy those that have ended, drop expired token families.

    Returns how many sessions were destroyed.
    """
    _in_batches(partial(orphaned_sessions, State.ACTIVE), partial(_end, State.DEAD, "the user may not log in"))
    _in_batches(
        partial(orphaned_sessions, State.SUSPENDED), partial(_end, State.TERMINATING, "the user may not log in")
    )
    _in_batches(abandoned_sessions, partial(_end, State.TERMINATING, "the tokens have ended"))
    destroyed = _in_batches(
        ended_sessions, lambda ids: DestroySessions(sessions=ids, entry=system_entry("sessions/destroy", "session"))
    )
    _in_batches(lambda limit: expired_families(now() - KEEP_EXPIRED, limit), lambda ids: DropFamilies(families=ids))
    return destroyed


@shared_task
def drop_spent_keys() -> int:
    """Drop the signing keys all of whose tokens have expired. Returns how many."""
    kids = spent_keys()
    return int(writer.run(DropKeys(kids=kids, entry=key_entry()))) if kids else 0


@shared_task
def drop_expired_rules() -> int:
    """Forget the access rules that hold no more. Returns how many."""
    at = now()
    return _in_batches(lambda limit: expired_rules(at, limit), lambda ids: DropRules(rules=ids))


@shared_task
def reencrypt_content() -> int:
    """Go on with the run of re-encryption that is not finished; returns its number, 0 when there is none."""
    entry = system_entry("encryption/reencrypt", "encryption")
    try:
        run = async_to_sync(reencrypt)(REENCRYPTION_SECONDS, entry)
    except Unavailable as away:
        log.warning("re-encryption waits: %s", away.message)
        return 0
    return 0 if run is None else run.number


def _in_batches(find: Callable[[int], list[str]], command: Callable[[list[str]], Upkeep]) -> int:
    """Run a command on what is found, batch by batch, until nothing is found or nothing is done. Returns how many."""
    total = 0
    for _ in range(MAX_BATCHES):
        ids = find(BATCH)
        done = writer.run(command(ids)) if ids else 0
        total += done
        if not done or len(ids) < BATCH:
            break
    return total


def _end(to: State, why: str, ids: list[str]) -> SweepSessions:
    return SweepSessions(sessions=ids, to=to, why=why, entry=system_entry("sessions/close", "session"))
