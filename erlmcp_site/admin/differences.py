"""What a change in the admin changes, field by field, for the details of its audit entry.

Not django-auditlog, which was looked at (3.4.1). It learns of a change by signals after the save, when the writer has
its entry already; its `model_instance_diff` cannot be imported without its app, whose table refers to users, so that
each deletion of one would go there; it leaves out many-to-many fields, which are what a permission is; and of a masked
field it shows the second half.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

Values = Mapping[str, Any]

NOTHING: Values = {}


def stored_values(row: Model) -> Values:
    """The fields of a row as the database has them now; empty for one that is not there. Reads the database."""
    before = type(row)._default_manager.filter(pk=row.pk).first()
    if before is None:
        return NOTHING
    related = {
        field.name: sorted(str(other) for other in getattr(before, field.name).all())
        for field in before._meta.many_to_many
    }
    return _plain(before) | related


def wanted_values(row: Model, cleaned: Mapping[str, Any]) -> Values:
    """The fields of a row as a valid form wants them; `cleaned` are the form's cleaned data."""
    related = {
        field.name: sorted(str(other) for other in cleaned[field.name])
        for field in row._meta.many_to_many
        if field.name in cleaned
    }
    return _plain(row) | related


def differences(before: Values, after: Values) -> dict[str, list[Any]]:
    """[old, new] by the name of each field that differs; what is secret is left out where entries are made."""
    names = sorted(before.keys() | after.keys()) if before and after else sorted(before or after)
    return {
        name: [before.get(name), after.get(name)]
        for name in names
        if before.get(name) != after.get(name, before.get(name) if after else None)
    }


def _plain(row: Model) -> dict[str, Any]:
    values = {field.name: field.value_from_object(row) for field in row._meta.concrete_fields}
    return {name: value if isinstance(value, bool | int | None) else str(value) for name, value in values.items()}
