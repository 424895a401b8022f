"""What a change of configuration comes to, field by field, for the details of its audit entry.

django-auditlog's registry says which fields of which models are told, and its comparison finds those that differ. Its
own entries are not written: they would be made after the save, when the writer has committed to an entry already, and
would be a second trail beside ours, which nothing chains.
"""

from collections.abc import Collection
from typing import Any

from auditlog.diff import model_instance_diff
from auditlog.registry import auditlog
from auditlog.signals import pre_log
from django.db.models import Model
from django.dispatch import receiver

from audit_app.models import Sink
from audit_app.redaction import REDACTED

MASK = f"{__name__}.masked"


def track(model: type[Model], *, only: Collection[str] = (), secret: Collection[str] = ()) -> None:
    """Have the changes of a model told: those of all its fields or of some, of secret ones only that they changed.

    Fields that are many-to-many are not among them: django-auditlog sees those in signals of its own alone.
    """
    auditlog.register(model, include_fields=list(only), mask_fields=list(secret), mask_callable=MASK)


def differences(old: Model | None, new: Model | None) -> dict[str, list[Any]]:
    """[old, new] by the name of each field that differs between two states of a row; None is a row that is not there.

    Values are those of JSON; what JSON has no type for is text, times in UTC. Raises KeyError for a model that is not
    tracked.
    """
    (model, *_) = (type(row) for row in (old, new) if row is not None)
    # without this, a row that is new or gone would be compared by whatever refers to it, too
    fields = [field.name for field in model._meta.concrete_fields]
    found = model_instance_diff(old, new, fields_to_check=fields, use_json_for_changes=True)
    return {name: list(pair) for name, pair in (found or {}).items()}


def masked(value: str) -> str:
    """What is shown of a secret: nothing of it. django-auditlog's own mask shows its second half."""
    return REDACTED


@receiver(pre_log)
def write_no_entry(**_: Any) -> bool:
    """Keep django-auditlog from writing entries when tracked models are saved."""
    return False


track(Sink, only=("cursor", "paused"))
