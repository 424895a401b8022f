"""The entry of a connection that followed something and has ended: until then its caller was told what happened."""

import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer
from erlmcp_site.pipeline.messages import Request
from sessions_app.callers import Caller

END = "events/end"


def note_end(request: Request, caller: Caller, session_id: str, details: Mapping[str, Any]) -> None:
    """Leave the entry, unless AUDIT_READS is off, as following is reading; nobody waits for it."""
    if settings.AUDIT_READS == "off":
        return
    entry = Entry(
        timestamp=time.time(),
        action=END,
        transport=request.transport,
        user_id=caller.user_id,
        user=caller.name,
        resource_type="connection",
        source_ip=request.source_ip,
        user_agent=request.user_agent,
        session_id=session_id,
        request_id=request.id,
        client=request.client,
    )
    writer.note(Record(entry=entry, details=details))
