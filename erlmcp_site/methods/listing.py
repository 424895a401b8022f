"""Pages of the resources that a caller may read: only those are shown and counted, and a page takes bounded work."""

import base64
import binascii
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from audit_app.database import in_database
from audit_app.errors import InvalidParams
from erlmcp_site.methods.paging import cursor_of, next_cursor
from resources_app.queries import list_resources
from resources_app.state import ResourceState
from resources_app.uris import END
from sessions_app.access.decisions import explain, may, readable_spans
from sessions_app.access.index import first_span
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import EVERYTHING, Verb
from sessions_app.callers import Caller
from sessions_app.sealing import seal, unseal

MAX_LOOKS = 16
MAX_HIDDEN = 2000
PORTION = 250
SEALED = "~"
PURPOSE = "cursors"


@dataclass(frozen=True, slots=True)
class Page:
    """What a caller is shown, and where the next page begins. It reflects the log as a Listing does."""

    states: list[ResourceState]
    next_cursor: str | None
    offset: int
    upto: int


async def readable_resources(caller: Caller, prefix: str, cursor: str | None, limit: int) -> Page:
    """Up to `limit` of the resources that a caller may read.

    When much is hidden a page ends before it is full, after MAX_LOOKS queries or MAX_HIDDEN hidden resources; its
    cursor is sealed, since it names one of them. Raises InvalidParams for a cursor that is not of this list.
    """
    after = _opened(cursor)
    index = await rulebook.read()
    sees_all = explain(index, caller, Verb.READ, EVERYTHING).allowed
    spans = readable_spans(index, caller)
    shown: list[ResourceState] = []
    offset = upto = hidden = 0
    looks, place = 0, first_span(spans, max(after, prefix))
    while True:
        span = spans[place] if place < len(spans) else None
        missing = limit + 1 - len(shown)
        wanted = missing if sees_all else max(missing, PORTION)
        if span is None or span[0] >= prefix + END:
            span = ("", "")
        found = await in_database(list_resources, prefix, after, wanted, span)
        offset, upto = offset or found.offset, found.upto
        for state in found.states:
            after = state.uri
            if not (sees_all or may(index, caller, Verb.READ, after)):
                hidden += 1
            elif len(shown) < limit:
                shown.append(state)
            else:
                return Page(shown, next_cursor(shown[-1].uri), offset, upto)
        if len(found.states) < wanted:
            place += 1
            if not span[1] or place >= len(spans):
                return Page(shown, None, offset, upto)
            after = max(after, spans[place - 1][1])
        looks += 1
        if looks >= MAX_LOOKS or hidden >= MAX_HIDDEN:
            return Page(shown, _sealed(after), offset, upto)


def _sealed(uri: str) -> str:
    return SEALED + base64.urlsafe_b64encode(seal(uri.encode(), PURPOSE, PURPOSE)).decode()


def _opened(cursor: str | None) -> str:
    if cursor is None or not cursor.startswith(SEALED):
        return cursor_of({"cursor": cursor})
    try:
        sealed = base64.b64decode(cursor[len(SEALED) :], altchars=b"-_", validate=True)
        return unseal(sealed, PURPOSE, PURPOSE).decode()
    except (binascii.Error, ImproperlyConfigured, ValueError):
        raise InvalidParams("The cursor is not one of this list.") from None
