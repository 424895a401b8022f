"""Looks at pages of the admin that no method stands behind: each leaves an entry, and so does each that is denied."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from audit_app.commands import Record
from audit_app.writer import writer
from erlmcp_site.admin.entries import entry_for
from sessions_app.errors import Forbidden


def leave_look(
    request: HttpRequest, action: str, noun: str, *, is_allowed: bool, told: Mapping[str, Any] | None = None
) -> None:
    """Leave the entry of a look at something of this kind, with what else is `told` in its details.

    Raises PermissionDenied for one that is not allowed, and the refusal of an entry that could not be left.
    """
    refusal = None if is_allowed else Forbidden()
    writer.run(Record(entry=entry_for(request, action, noun, ""), refusal=refusal, details=told))
    if refusal is not None:
        raise PermissionDenied
