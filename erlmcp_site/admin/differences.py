"""What a form of the admin changes, field by field, for the details of its audit entry."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model

from audit_app.differences import differences

NOTHING: Mapping[str, Any] = {}


def stored(row: Model) -> Model | None:
    """A row as the database has it now, None for one that is not there. Reads the database."""
    return type(row)._default_manager.filter(pk=row.pk).first()


def all_differences(
    before: Model | None, after: Model | None, cleaned: Mapping[str, Any] = NOTHING
) -> dict[str, list[Any]]:
    """The same as `differences`, with fields that are many-to-many, as sorted lists of names.

    `before` is what is stored, `after` what is wanted; what is wanted of a field that is many-to-many is in the form's
    `cleaned` data, or it stays as it is. Reads the database.
    """
    (row, *_) = (row for row in (before, after) if row is not None)
    related = {}
    for name in (field.name for field in row._meta.many_to_many):
        old = _names(getattr(before, name).all()) if before is not None else None
        new = _names(cleaned[name]) if name in cleaned else old
        if old != (new if after is not None else None):
            related[name] = [old, new if after is not None else None]
    return differences(before, after) | related


def _names(rows: Iterable[Model]) -> list[str]:
    return sorted(map(str, rows))
