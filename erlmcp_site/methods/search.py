"""Searching what a caller may read: by prefix, by text, by a place in JSON; bounded work for each page."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import orjson
from rest_framework import serializers

from audit_app.database import in_database
from audit_app.deadlines import deadline
from erlmcp_site.methods.listing import Walk, opened, sealed
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from resources_app.json_paths import MAX_PATH
from resources_app.queries import stored_states
from resources_app.search import Matches, Question
from resources_app.serializers import AnyField, ExactField, ListParams
from resources_app.state import ResourceState, encode
from sessions_app.access.rulebook import rulebook

PORTION = 250
GROUP_BYTES = 1024 * 1024
MAX_BYTES = 8 * GROUP_BYTES
MAX_SECONDS = 1.0
OF_THE_TIME_LEFT = 0.5
MAX_TEXT = 1000

Found = tuple[ResourceState, Matches]

# one thread: however many search, they take turns, and leave the processor to everybody else
_threads = ThreadPoolExecutor(1, thread_name_prefix="search")


class SearchParams(ListParams):
    text = ExactField(required=False, min_length=1, max_length=MAX_TEXT)
    path = ExactField(required=False, max_length=MAX_PATH)
    value = AnyField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "value" in attrs and "path" not in attrs:
            raise serializers.ValidationError("A value is looked for at a path.")
        return attrs


async def search(passage: Passage) -> Any:
    params = passage.params
    wanted = (params["value"],) if "value" in params else ()
    question = Question(params.get("text", ""), params.get("path"), wanted)
    walk = Walk(await rulebook.read(), passage.known_caller, params["prefix"], opened(params.get("cursor")))
    found, after = await _page(walk, question, params["limit"])
    passage.offset, passage.position = walk.offset, walk.upto
    shown = [_shown(state, None if question.is_open else matches) for state, matches in found]
    return {"resources": shown, "next_cursor": None if after is None else sealed(after)}


async def _page(walk: Walk, question: Question, limit: int) -> tuple[list[Found], str | None]:
    """What is found, and the URI behind which the next page begins.

    A page ends when it is full, and with what was found by then when the walk is tired, MAX_BYTES of content have been
    looked into, or the time is over.
    """
    until, left = _until(), MAX_BYTES
    found: list[Found] = []
    while True:
        portion = await walk.portion(PORTION)
        for group in _groups(portion, question):
            sought = await _with_content(group, question)
            sift = partial(_sift, sought, question, limit - len(found), until)
            more, after = await asyncio.get_running_loop().run_in_executor(_threads, sift)
            found += more
            left -= sum(len(state.body) for state in sought)
            if len(found) >= limit or left <= 0 or time.monotonic() > until:
                is_last = walk.is_over and after == portion[-1].uri
                return found, None if is_last else after
        if walk.is_over:
            return found, None
        if walk.is_tired:
            return found, walk.after


def _until() -> float:
    now, end = time.monotonic(), deadline.get()
    return now + MAX_SECONDS if end is None else now + min(MAX_SECONDS, (end - now) * OF_THE_TIME_LEFT)


def _groups(portion: Sequence[ResourceState], question: Question) -> Iterator[list[ResourceState]]:
    """The resources of a portion by as many as have GROUP_BYTES of content to look into together, or one with more."""
    group: list[ResourceState] = []
    size = 0
    for state in portion:
        more = state.size if question.needs_content(state) else 0
        if group and size + more > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(state)
        size += more
    if group:
        yield group


async def _with_content(group: Sequence[ResourceState], question: Question) -> list[ResourceState]:
    """Those that need it as they are now, with their content; of the last of them the place is told in any case."""
    needing = [state.uri for state in group if question.needs_content(state)]
    present = await in_database(stored_states, needing) if needing else {}
    return [present.get(state.uri, state) for state in group]


def _sift(states: Sequence[ResourceState], question: Question, limit: int, until: float) -> tuple[list[Found], str]:
    """Those that match, and the last one that was looked at: the limit or the time may end it early."""
    found: list[Found] = []
    for state in states:
        matches = None if state.deleted else question.matches(state)
        if matches is not None:
            found.append((state, matches))
        if len(found) >= limit or time.monotonic() > until:
            break
    return found, state.uri


def _shown(state: ResourceState, matches: Matches | None) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(encode(state, include_content=False))
    return shown if matches is None else {**shown, "matches": matches.as_json()}


register(
    Method(
        name="resources/search",
        run=search,
        params=SearchParams(),
        needs=None,
        reads=True,
        resource_type="resource",
        resource="prefix",
    )
)
