"""Keys as their tables keep them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from audit_app.bulk import Bulk, Row, table_of
from encryption_app.models import DataKey, KeyEncryptionKey

DATA_KEYS = table_of(DataKey, "id", "subject", "wrapped", "provider", "key_id", "created_at", "destroyed_at")
LIVES = table_of(DataKey, "id", "destroyed_at")
WRAPPINGS = table_of(KeyEncryptionKey, "id", "provider", "number", "key_id", "created_at", "destroyed_at")
NEW_WRAPPINGS = table_of(KeyEncryptionKey, "provider", "number", "key_id", "created_at", "destroyed_at")
ENDS = table_of(KeyEncryptionKey, "id", "destroyed_at")


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A data key as it is kept."""

    id: str
    subject: str
    wrapped: bytes
    provider: str
    key_id: str
    created_at: datetime | None = None
    destroyed_at: datetime | None = None

    @property
    def row(self) -> Row:
        return (
            *(self.id, self.subject, self.wrapped, self.provider, self.key_id),
            *(self.created_at, self.destroyed_at),
        )


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A key-encryption key as it is kept: by its name. Of those of a provider, the highest number is current.

    `id` is that of its row, None for one that has none yet.
    """

    id: int | None
    provider: str
    number: int
    key_id: str
    created_at: datetime
    destroyed_at: datetime | None = None

    @property
    def row(self) -> Row:
        """The row of NEW_WRAPPINGS."""
        return self.provider, self.number, self.key_id, self.created_at, self.destroyed_at


def kept_key(row: Row) -> KeptKey:
    """A data key out of its row."""
    values = list(row)
    values[2] = bytes(values[2])
    return KeptKey(*values)


def destroyed(db: Bulk, ids: Iterable[str]) -> set[str]:
    """Those data keys that are destroyed, or never were; the others stay as they are until the transaction ends."""
    wanted = set(ids)
    return wanted - {row[0] for row in db.select(LIVES, "id", wanted, lock=True) if row[1] is None}
