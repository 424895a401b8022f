"""Idempotency keys: kept with the answer, in the transaction of the work itself, for a day (contract §3).

What was refused is not kept: it had no effect, so asking again is a request like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audit_app.bulk import Bulk, Row, table_of
from audit_app.errors import Refusal
from audit_app.models import IdempotencyKey
from audit_app.once import Answer, Key, Once

KEPT = timedelta(hours=24)

KEYS = table_of(IdempotencyKey, "id", "fingerprint", "answer", "at")


class IdempotencyMismatch(Refusal):
    """This key was used for another request."""

    code = "idempotency_mismatch"


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands under a key in the database."""

    fingerprint: str
    answer: bytes
    at: datetime


class Keys:
    """The keys of one batch: those that the database has, and those that its commands add.

    To be made when what the commands touch is locked, so that a key which another node has just used is seen. Two nodes
    that add one key at the same time meet at its row: one of them loses the race and starts again, or waits for the
    lock when the row is there from earlier.
    """

    def __init__(self, db: Bulk, wanted: Sequence[Key], at: datetime) -> None:
        rows = db.select(KEYS, "id", [key.id for key in wanted], lock=True) if wanted else ()
        self._kept = {row[0]: _kept(row) for row in rows}
        self._fresh: dict[str, tuple[Once, Any]] = {}
        self._at = at

    def is_done(self, key: Key) -> bool:
        """Whether the request was done before, in this batch or earlier. Raises IdempotencyMismatch."""
        if key.id in self._fresh:
            check(key, self._fresh[key.id][0].fingerprint)
            return True
        kept = self._kept.get(key.id)
        if kept is None or kept.at <= self._at - KEPT:
            return False
        check(key, kept.fingerprint)
        return True

    def add(self, once: Once, result: Any) -> None:
        """The request is done by this batch."""
        self._fresh[once.key.id] = (once, result)

    def save(self, db: Bulk) -> None:
        """Keep what was added; events have their offsets by now."""
        fresh: list[Row] = []
        renewed: list[Row] = []
        for id, (once, result) in sorted(self._fresh.items()):
            kept = Kept(once.fingerprint, once.answer(result), self._at)
            (renewed if id in self._kept else fresh).append((id, kept.fingerprint, kept.answer, kept.at))
            self._kept[id] = kept
        db.insert(KEYS, fresh)
        db.update(KEYS, "id", renewed)

    def answer(self, key: Key) -> Answer:
        """What is kept under a key that is done; after `save`."""
        return _answer(key, self._kept[key.id])


def check(key: Key, fingerprint: str) -> None:
    """Raise IdempotencyMismatch when a key stands for a request with another fingerprint."""
    if fingerprint not in {key.fingerprint, key.sealed_fingerprint}:
        raise IdempotencyMismatch()


def kept_answer(key: Key) -> Answer | None:
    """What was answered to a request that was done before; None when it was not. Raises IdempotencyMismatch."""
    rows = IdempotencyKey.objects.filter(id=key.id, at__gt=datetime.now(UTC) - KEPT)
    row = rows.values_list(*KEYS.columns).first()
    if row is None:
        return None
    kept = _kept(row)
    check(key, kept.fingerprint)
    return _answer(key, kept)


def _answer(key: Key, kept: Kept) -> Answer:
    return Answer(kept.answer, is_sealed=kept.fingerprint == key.sealed_fingerprint)


def _kept(row: Row) -> Kept:
    _, fingerprint, answer, at = row
    return Kept(fingerprint, bytes(answer), at)
