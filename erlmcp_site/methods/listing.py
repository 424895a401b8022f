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
from sessions_app.access.index import Index, first_span
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


class Walk:
    """Goes over the resources below a prefix that a caller may read, in the order of their URIs, by portions.

    `after` is the URI behind which it goes on. It `is_over` when there are no more, and `is_tired` after MAX_LOOKS
    queries or MAX_HIDDEN resources that the caller may not read. It reflects the log as a Listing does.
    """

    def __init__(self, index: Index, caller: Caller, prefix: str, after: str) -> None:
        self.after = after
        self.is_over = False
        self.offset = self.upto = 0
        self._index, self._caller, self._prefix = index, caller, prefix
        self._sees_all = explain(index, caller, Verb.READ, EVERYTHING).allowed
        self._spans = readable_spans(index, caller)
        self._place = first_span(self._spans, max(after, prefix))
        self._looks = self._hidden = 0

    @property
    def is_tired(self) -> bool:
        return self._looks >= MAX_LOOKS or self._hidden >= MAX_HIDDEN

    async def portion(self, wanted: int) -> list[ResourceState]:
        """The next ones, without their content: about as many as wanted, more or fewer, maybe none of many hidden."""
        if not self._sees_all:
            wanted = max(wanted, PORTION)
        span = self._spans[self._place] if self._place < len(self._spans) else ("", "")
        if span[0] >= self._prefix + END:
            span = ("", "")
        found = await in_database(list_resources, self._prefix, self.after, wanted, span)
        self.offset, self.upto = self.offset or found.offset, found.upto
        shown = found.states
        if found.states:
            self.after = found.states[-1].uri
        if not self._sees_all:
            shown = [state for state in found.states if may(self._index, self._caller, Verb.READ, state.uri)]
            self._hidden += len(found.states) - len(shown)
        if len(found.states) < wanted:
            self._place += 1
            self.is_over = not span[1] or self._place >= len(self._spans)
            if not self.is_over:
                self.after = max(self.after, span[1])
        self._looks += 1
        return shown

    def skip(self, uri: str) -> None:
        """Leave out what comes up to there."""
        self.after = max(self.after, uri)


async def readable_resources(caller: Caller, prefix: str, cursor: str | None, limit: int) -> Page:
    """Up to `limit` of the resources that a caller may read.

    When much is hidden a page ends before it is full, where the walk is tired; its cursor is sealed, since it names one
    of them. Raises InvalidParams for a cursor that is not of this list.
    """
    walk = Walk(await rulebook.read(), caller, prefix, opened(cursor))
    shown: list[ResourceState] = []
    while True:
        shown += await walk.portion(limit + 1 - len(shown))
        if len(shown) > limit:
            return Page(shown[:limit], next_cursor(shown[limit - 1].uri), walk.offset, walk.upto)
        if walk.is_over:
            return Page(shown, None, walk.offset, walk.upto)
        if walk.is_tired:
            return Page(shown, sealed(walk.after), walk.offset, walk.upto)


def sealed(uri: str) -> str:
    """The cursor of a page that begins behind a URI which the caller may not know of."""
    return SEALED + base64.urlsafe_b64encode(seal(uri.encode(), PURPOSE, PURPOSE)).decode()


def opened(cursor: str | None) -> str:
    """The URI behind which a page begins. Raises InvalidParams for what is no cursor of ours."""
    if cursor is None or not cursor.startswith(SEALED):
        return cursor_of({"cursor": cursor})
    try:
        sealed = base64.b64decode(cursor[len(SEALED) :], altchars=b"-_", validate=True)
        return unseal(sealed, PURPOSE, PURPOSE).decode()
    except (binascii.Error, ImproperlyConfigured, ValueError):
        raise InvalidParams("The cursor is not one of this list.") from None
