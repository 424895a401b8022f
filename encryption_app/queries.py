"""Keys as the database keeps them."""

from collections.abc import Iterable

from django.db.models import Count

from encryption_app import models
from encryption_app.key_rows import DATA_KEYS, KeptKey, kept_key


def kept_keys(ids: Iterable[str]) -> dict[str, KeptKey]:
    """Those data keys that are not destroyed, by id."""
    rows = models.DataKey.objects.filter(id__in=list(ids), destroyed_at=None).values_list(*DATA_KEYS.columns)
    return {row[0]: kept_key(row) for row in rows}


def destroyed_keys(ids: Iterable[str]) -> set[str]:
    """Those data keys that are destroyed; what never was is not among them."""
    rows = models.DataKey.objects.filter(id__in=list(ids), destroyed_at__isnull=False)
    return set(rows.values_list("id", flat=True))


def living_key(subject: str) -> KeptKey | None:
    """The data key of a subject that is not destroyed."""
    row = models.DataKey.objects.filter(subject=subject, destroyed_at=None).values_list(*DATA_KEYS.columns).first()
    return None if row is None else kept_key(row)


def key_encryption_keys(provider: str) -> list[models.KeyEncryptionKey]:
    """The key-encryption keys of a provider, the current one first, destroyed ones included."""
    return list(models.KeyEncryptionKey.objects.filter(provider=provider).order_by("-number"))


def next_keys(after: str, limit: int) -> list[KeptKey]:
    """The data keys behind an id that are not destroyed, in the order of their ids."""
    rows = models.DataKey.objects.filter(id__gt=after, destroyed_at=None).order_by("id").values_list(*DATA_KEYS.columns)
    return [kept_key(row) for row in rows[:limit]]


def wrapped_counts() -> dict[tuple[str, str], int]:
    """How many living data keys each (provider, key-encryption key) wraps."""
    rows = models.DataKey.objects.filter(destroyed_at=None).values_list("provider", "key_id").annotate(n=Count("id"))
    return {(provider, key_id): n for provider, key_id, n in rows.order_by("provider", "key_id")}
