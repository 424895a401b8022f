"""Being told that something has changed, by one request for many things: the subscriptions of MCP (docs/mcp.md).

Whoever listens is told what to read again, not what there is now. What the caller may not follow, and what is not
there, is left out of the answer, which says no more about it.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

from django.conf import settings
from rest_framework import serializers

from erlmcp_site.methods.causality import position_of
from erlmcp_site.methods.connections import Connection
from erlmcp_site.methods.lists import LISTS, ListWatcher, lists
from erlmcp_site.methods.subscriptions import detach
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.passage import Passage
from resources_app.errors import InvalidUri
from resources_app.hub.followers import Follower, Following, Outlet
from resources_app.hub.hub import hub
from resources_app.patterns import Pattern, Reach
from resources_app.queries import latest_state
from resources_app.serializers import ExactField, OffsetField, SomeField
from resources_app.uris import MAX_URI_BYTES, normalise
from sessions_app.access.following import followings, may_follow
from sessions_app.access.rulebook import rulebook
from sessions_app.authentication import authenticate
from sessions_app.errors import RateLimited
from sessions_app.limits import MethodClass
from sessions_app.positions import PositionUnknown, positions


class Listener(Outlet, Connection, ListWatcher, Protocol):
    """The outlet of somebody who listens. Its `followers` are by URI, and `spellings` are those URIs as the client
    writes them.
    """

    spellings: dict[str, str]


class ListenParams(serializers.Serializer[Any]):
    """What to be told of; `after` is an offset up to which the client knows of all changes of these URIs."""

    uris: serializers.ListField = serializers.ListField(child=ExactField(max_length=MAX_URI_BYTES), default=list)
    lists = SomeField(LISTS, required=False)
    after = OffsetField(required=False)


async def listen(passage: Passage) -> Any:
    """Attach a follower for each URI to the outlet; they begin when the answer is on its way."""
    outlet, caller, session, params = passage.request.outlet, passage.known_caller, passage.session, passage.params
    if not _listens(outlet) or session is None:
        raise MethodNotFound(f"{passage.request.method} needs a transport that tells of changes.")
    outlet.identify(caller, session)
    limit = settings.MCP_LISTEN_MAX_URIS
    wanted = {_normal(text): text for text in reversed(params["uris"])}
    wanted.pop("", None)
    new = [uri for uri in reversed(wanted) if uri not in outlet.followers]
    if len(outlet.followers) + len(new) > limit or len(params["uris"]) > limit:
        raise RateLimited(f"At most {limit} URIs in one subscription.", policy="subscriptions", limit=limit)
    if len(new) == 1:
        passage.resource_id = new[0]
    made: list[Follower] = []
    passage.undo = lambda: _leave(outlet, made)
    try:
        await _follow(passage, outlet, new, made)
        # what was revoked by now did not find these followers yet
        caller = await authenticate(passage.request.credentials)
        followings.renew(made, caller)
        lists.watch(outlet, caller, params.get("lists", ()))
        for follower in made:
            await positions.follow(session.id, follower)
    except BaseException:
        _leave(outlet, made)
        raise
    passage.then = lambda: _begin(made)
    outlet.spellings.update((uri, written) for uri, written in wanted.items() if uri in outlet.followers)
    return _told(passage, outlet)


def _listens(outlet: Outlet | None) -> TypeGuard[Listener]:
    return hasattr(outlet, "list_changed")


def _normal(text: str) -> str:
    """The one spelling of a URI; "" where it is none."""
    try:
        return normalise(text)
    except InvalidUri:
        return ""


async def _follow(passage: Passage, outlet: Listener, uris: Sequence[str], made: list[Follower]) -> None:
    """Attach a follower for each of these URIs that may be followed and, unless it was known of before, is there."""
    index, after = await rulebook.read(), passage.params.get("after")
    try:
        position = await position_of(passage)
    except PositionUnknown:
        position = None
    for uri in uris:
        pattern = Pattern(uri, Reach.EXACT)
        if not may_follow(index, passage.known_caller, pattern):
            continue
        if after is None:
            state = await latest_state(uri, position)
            if state is None or state.deleted:
                continue
            passage.position = max(passage.position, state.offset)
        following = Following(subscription=uri, pattern=pattern, after=after, include_content=False)
        follower = await hub.follow(following, outlet)
        made.append(follower)
        outlet.followers[uri] = follower
        followings.add(follower, passage.known_caller)


def _told(passage: Passage, outlet: Listener) -> dict[str, Any]:
    """The result; the audit entry has what was asked for in vain, too."""
    honoured: list[str] = []
    left_out: list[str] = []
    for text in passage.params["uris"]:
        (honoured if _normal(text) in outlet.followers else left_out).append(text)
    told = {"uris": honoured, "lists": list(passage.params.get("lists", ()))}
    passage.details = {**told, "left_out": left_out}
    return {**told, "offset": hub.position}


def _begin(followers: Sequence[Follower]) -> None:
    for follower in followers:
        hub.begin(follower)


def _leave(outlet: Listener, followers: Sequence[Follower]) -> None:
    for follower in followers:
        detach(follower, outlet)


register(
    Method(
        name="events/listen",
        run=listen,
        params=ListenParams(),
        needs=None,
        reads=True,
        resource_type="subscription",
        rate_class=MethodClass.STREAMS,
        parts="uris",
    )
)
