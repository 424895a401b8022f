"""Loading and removing the demo, through the writer like everyone's changes."""

from collections.abc import Sequence
from itertools import islice

from asgiref.sync import async_to_sync
from django.db.models import Q

from audit_app.system import system_entry
from audit_app.trail import Entry
from erlmcp_site.demo.agents import definitions
from erlmcp_site.demo.tree import ROOT, tree
from resources_app.actions import change_resources
from resources_app.changes import Change, Delete
from resources_app.models import Resource

BATCH = 100


def load_demo() -> int:
    """Create the demo's resources that do not exist; how many that were."""
    there = _existing()
    return apply([change for change in (*tree(), *definitions()) if change.uri not in there])


def remove_demo() -> int:
    """Delete everything below the demo's root, and its definitions; how many resources that were."""
    return apply([Delete(uri=uri) for uri in sorted(_existing())])


def apply(changes: Sequence[Change]) -> int:
    """Commit changes in batches, each all or nothing, and return how many there were. Raises what refuses a batch."""
    remaining = iter(changes)
    while batch := list(islice(remaining, BATCH)):
        async_to_sync(change_resources)(batch, _entry, is_batch=True)
    return len(changes)


def _entry() -> Entry:
    return system_entry("resources/batch", "resource", ROOT)


def _existing() -> set[str]:
    end = ROOT[:-1] + chr(ord("/") + 1)
    own = Q(uri__gte=ROOT, uri__lt=end) | Q(uri__in=[change.uri for change in definitions()])
    rows = Resource.objects.filter(own, deleted=False)
    return set(rows.values_list("uri", flat=True))
