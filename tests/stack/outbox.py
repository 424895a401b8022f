"""What waits in the outbox of the database of this process."""

from typing import Any

import orjson

from audit_app.models import OutboxEntry


def entries(action: str = "") -> list[dict[str, Any]]:
    """The entries in the order in which they were left, or those of one action. Reads the database."""
    found = [orjson.loads(text) for text in OutboxEntry.objects.order_by("id").values_list("entry", flat=True)]
    return [entry for entry in found if not action or entry.get("action") == action]
