"""The methods on resources (contract §2, §3)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from rest_framework.exceptions import ValidationError

from audit_app.database import in_database
from audit_app.errors import InvalidParams, Refusal
from erlmcp_site.methods.causality import position_of
from erlmcp_site.methods.listing import readable_resources
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.messages import Effect, RawContent
from erlmcp_site.pipeline.method import Need
from erlmcp_site.pipeline.passage import Passage
from resources_app import serializers
from resources_app.actions import change_resources
from resources_app.cache import Cached
from resources_app.changes import Change, Delete, Patch, Restore, Write
from resources_app.contents import content_of
from resources_app.errors import ResourceNotFound
from resources_app.log.events import LoggedEvent
from resources_app.queries import Consistency, read_resource
from resources_app.sealed import opening
from resources_app.state import OnConflict, encode, raw
from resources_app.uris import normalise
from resources_app.versions import compare_versions, list_versions, read_version
from sessions_app.positions import PositionUnknown


async def read(passage: Passage) -> Any:
    params = passage.params
    if "version" in params:
        cached = Cached(await opening(read_version, params["uri"], params["version"]))
        passage.position = cached.state.offset
        passage.offset = max(passage.offset, passage.position)
    else:
        consistency = Consistency(params.get("consistency", Consistency.CAUSAL))
        cached = await present(passage, params["uri"], consistency, params.get("after", 0))
    passage.version, passage.forms = cached.state.version, cached.forms
    if params["raw"]:
        return RawContent(mime_type=cached.state.mime_type, data=raw(cached.state))
    return orjson.Fragment(cached.json)


async def present(passage: Passage, uri: str, consistency: Consistency = Consistency.CAUSAL, after: int = 0) -> Cached:
    """A resource as it is now, which the passage then knows to reflect. Raises as `read_resource`, ResourceNotFound."""
    if consistency is Consistency.CAUSAL:
        try:
            after = max(after, await position_of(passage))
        except PositionUnknown:
            consistency = Consistency.STRONG
    reading = await read_resource(uri, consistency, after)
    passage.offset = max(passage.offset, reading.offset)
    state = reading.cached.state if reading.cached else None
    # an eventual read does not wait, not even to tell other nodes how far it got: it counts by what it shows
    passage.position = passage.offset if consistency is not Consistency.EVENTUAL else state.offset if state else 0
    if reading.cached is None or state is None or state.deleted:
        raise ResourceNotFound(uri=uri)
    return reading.cached


async def list_(passage: Passage) -> Any:
    params = passage.params
    found = await readable_resources(passage.known_caller, params["prefix"], params.get("cursor"), params["limit"])
    # what is missing was deleted by then: that is told as well
    passage.offset, passage.position = found.offset, found.upto
    shown = [orjson.Fragment(encode(state, include_content=False)) for state in found.states]
    return {"resources": shown, "next_cursor": found.next_cursor}


async def history(passage: Passage) -> Any:
    params = passage.params
    before = cursor_of(params)
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise InvalidParams("The cursor is not one of this list.")
    found = await in_database(list_versions, params["uri"], int(before) if before else None, params["limit"] + 1)
    passage.position = max((event.offset for event in found), default=0)
    passage.offset = max(passage.offset, passage.position)
    return page(
        "versions", [_version(event) for event in found], params["limit"], lambda index: str(found[index].offset)
    )


async def diff(passage: Passage) -> Any:
    params = passage.params
    found = await opening(compare_versions, params["uri"], params["from"], params.get("to"))
    passage.position = max(found.before.offset, found.after.offset)
    passage.offset = max(passage.offset, passage.position)
    return found.as_json()


async def change(passage: Passage) -> Any:
    changes = [change_of(passage.request.method, passage.params)]
    return passage.take(_changed(await change_resources(changes, partial(passage.entry, _changed))))


async def batch(passage: Passage) -> Any:
    changes = [_operation(index, item) for index, item in enumerate(passage.params["operations"])]
    events = await change_resources(changes, partial(passage.entry, _changed_together), is_batch=True)
    return passage.take(_changed_together(events))


def _changed(events: Sequence[LoggedEvent]) -> Effect:
    (event,) = events
    result: Any = orjson.Fragment(encode(event.after, resolution=event.resolution))
    if event.type == "deleted":
        result = {"uri": event.uri, "version": event.version, "offset": event.offset}
        if event.resolution is not None:
            result["resolution"] = event.resolution.value
    return Effect(result=result, offset=event.offset, version=event.version, created=event.type == "created")


def _changed_together(events: Sequence[LoggedEvent]) -> Effect:
    results = [
        orjson.Fragment(encode(event.after, include_content=False, resolution=event.resolution)) for event in events
    ]
    return Effect(result={"results": results}, offset=events[-1].offset)


def change_of(method: str, params: Mapping[str, Any]) -> Change:
    """The change that validated parameters of a method ask for. Raises InvalidParams, TooLarge, TooDeep."""
    rule = params.get("on_conflict")
    common: dict[str, Any] = {
        "uri": params["uri"],
        "base_version": params.get("base_version"),
        "on_conflict": OnConflict(rule) if rule else None,
        "must_exist": params.get("must_exist", False),
    }
    if method == "resources/delete":
        return Delete(**common)
    if method == "resources/patch":
        return Patch(**common, patch=params["patch"], patch_type=params["patch_type"])
    if method == "resources/restore":
        return Restore(**common, version=params["version"])
    described: dict[str, Any] = {name: params.get(name) for name in ("name", "title", "description", "mime_type")}
    return Write(**common, **described, content=content_of(params), must_be_new=method == "resources/create")


def _operation(index: int, item: Mapping[str, Any]) -> Change:
    try:
        return change_of(item["method"], PARAMS[item["method"]].run_validation(item["params"]))
    except ValidationError as error:
        raise InvalidParams(operation=index, errors=error.detail) from None
    except Refusal as refusal:
        refusal.data["operation"] = index
        raise


def _version(event: LoggedEvent) -> dict[str, Any]:
    after = event.after
    version = {
        "uri": event.uri,
        "version": event.version,
        "offset": event.offset,
        "type": event.type,
        "time": event.time,
        "name": after.name,
        "title": after.title,
        "mime_type": after.mime_type,
        "size": after.size,
    }
    if event.resolution is not None:
        version["resolution"] = event.resolution.value
    return version


def _need_of(method: str) -> str:
    return "resources:delete" if method == "resources/delete" else "resources:write"


def _needs_of_batch(params: Mapping[str, Any]) -> Iterable[Need]:
    for index, item in enumerate(params["operations"]):
        uri = item["params"].get("uri")
        # what names none in a text is refused before anything is done
        if isinstance(uri, str):
            try:
                yield Need(_need_of(item["method"]), normalise(uri), index)
            except Refusal as refusal:
                refusal.data["operation"] = index
                raise


PARAMS = {
    "resources/create": serializers.WriteParams(),
    "resources/write": serializers.WriteParams(),
    "resources/patch": serializers.PatchParams(),
    "resources/delete": serializers.DeleteParams(),
    "resources/restore": serializers.RestoreParams(),
}

register(
    Method(
        name="resources/list",
        run=list_,
        params=serializers.ListParams(),
        needs=None,
        reads=True,
        resource_type="resource",
        resource="prefix",
    ),
    Method(
        name="resources/read",
        run=read,
        params=serializers.ReadParams(),
        needs="resources:read",
        on="uri",
        reads=True,
        is_causal=True,
        resource_type="resource",
        resource="uri",
    ),
    Method(
        name="resources/history",
        run=history,
        params=serializers.HistoryParams(),
        needs="resources:read",
        on="uri",
        reads=True,
        resource_type="resource",
        resource="uri",
    ),
    Method(
        name="resources/diff",
        run=diff,
        params=serializers.DiffParams(),
        needs="resources:read",
        on="uri",
        reads=True,
        resource_type="resource",
        resource="uri",
    ),
    *(
        Method(
            name=name,
            run=change,
            params=params,
            needs=_need_of(name),
            on="uri",
            resource_type="resource",
            resource="uri",
        )
        for name, params in PARAMS.items()
    ),
    Method(
        name="resources/batch",
        run=batch,
        params=serializers.BatchParams(),
        needs=None,
        needs_of=_needs_of_batch,
        parts="operations",
        resource_type="resource",
    ),
)
