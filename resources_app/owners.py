"""Users as the owners of what one of them may have a bounded number of.

Whoever counts what a user has, in the writer's transaction, locks the user first: two nodes that add something at once
would each count without what the other one adds.
"""

from collections.abc import Collection

from django.contrib.auth.models import User

from audit_app.bulk import Bulk, table_of

OWNERS = table_of(User, "id")


def lock_owners(db: Bulk, user_ids: Collection[str]) -> None:
    """Have other writers that count what one of these users has wait until the commit."""
    if user_ids:
        db.select(OWNERS, "id", [int(id) for id in user_ids], lock=True)
