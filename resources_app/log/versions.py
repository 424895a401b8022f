"""Earlier versions of resources, read inside a transaction of the writer."""

from collections.abc import Sequence

from audit_app.bulk import Bulk
from resources_app.log.append import EVENTS
from resources_app.log.read import logged
from resources_app.models import Event
from resources_app.state import ResourceState


def select_versions(db: Bulk, wanted: Sequence[tuple[ResourceState, int]]) -> list[ResourceState]:
    """The states of resources at earlier versions, as far as the log keeps them; one query for all.

    `wanted` names versions below the present one of resources whose rows are locked. Each version is one event, so that
    its distance from the present one tells where in the log it is.
    """
    places = [(now.uri, now.version - version) for now, version in wanted]
    rows = db.select_from_last(EVENTS, "uri", "offset", places)
    return [logged(Event(**dict(zip(EVENTS.columns, row, strict=True)))).after for row in rows]
