"""The methods of the audit trail (contract §2, §8).

Whoever looks into the trail leaves an entry in it, whatever AUDIT_READS says.
"""

from collections.abc import Mapping
from typing import Any

from audit_app.chain.verifier import verifier
from audit_app.commands import Record
from audit_app.database import in_trail
from audit_app.queries import Order, Place, Selection, entry_json, list_entries
from audit_app.serializers import ListParams, VerifyParams
from audit_app.writer import writer
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from telemetry_app.metrics import TRAIL_BENT


async def list_trail(passage: Passage) -> Mapping[str, Any]:
    """Entries that have reached the trail, the newest first; an entry does so a second or two after its answer."""
    params = passage.params
    selection, order = Selection.of(params), Order(params["order"])
    cursor, limit = cursor_of(params), params["limit"]
    after = Place.parse(cursor) if cursor else None
    found = await in_trail(list_entries, selection, after, limit + 1, order)
    looked = {"filters": selection.told(), "entries": min(len(found), limit)}
    await writer.submit(Record(entry=passage.entry(), details=looked))
    return page("entries", [entry_json(entry) for entry in found], limit, lambda index: str(Place.of(found[index])))


async def verify_trail(passage: Passage) -> Mapping[str, Any]:
    """What `manage.py audit verify --json` prints. A trail that was bent is an answer, not an error."""
    asked = dict(passage.params)
    report = await verifier.run(asked.get("from", 1), asked.get("until"))
    found = report.as_json()
    if not found["ok"] or asked.keys().isdisjoint({"from", "until"}):
        TRAIL_BENT.labels("verification").set(not found["ok"])
    await writer.submit(Record(entry=passage.entry(), details={"asked": asked, "found": found}))
    return found


register(
    Method(
        name="audit/list",
        run=list_trail,
        params=ListParams(),
        needs="audit:read",
        reads=True,
        always_recorded=True,
        resource_type="audit",
    ),
    Method(
        name="audit/verify",
        run=verify_trail,
        params=VerifyParams(),
        needs="audit:read",
        reads=True,
        always_recorded=True,
        resource_type="audit",
    ),
)
