"""The tools with which agents find and change resources (design page mcp.md, R7)."""

from collections.abc import Mapping
from typing import Any

import orjson

from erlmcp_site.methods.tools.registry import Asking, BadArguments, Tool, register
from erlmcp_site.methods.tools.schemas import (
    BASED,
    CONTENT,
    CURSOR,
    DESCRIBED,
    ENTRY,
    INTEGER,
    LIMIT,
    ONCE,
    TEXT,
    URI,
    VERSION,
    Schema,
    given,
    page_of,
    taken,
)

Arguments = Mapping[str, Any]
Result = dict[str, Any]

PATCH: Mapping[str, Schema] = {
    "patch": {"description": "A JSON Merge Patch (object) or a JSON Patch (array), in place of new content."},
    "patch_type": {"enum": ["merge", "json"], "description": "Which of both it is; merge by default."},
}
CHANGED = given(("uri", "version", "offset"), {**ENTRY, "resolution": TEXT})
DELETED = given(("uri", "version", "offset"), {"uri": URI, "version": VERSION, "offset": INTEGER, "resolution": TEXT})
PAST = given(("version", "offset", "type", "time"), {**ENTRY, "type": TEXT, "time": TEXT, "resolution": TEXT})

CONTENTS = frozenset({"content", "text", "blob"})


async def create(asking: Asking, arguments: Arguments) -> Result:
    return _changed(await asking.ask("resources/create", arguments))


async def update(asking: Asking, arguments: Arguments) -> Result:
    if "patch" in arguments and not arguments.keys().isdisjoint(CONTENTS | DESCRIBED.keys()):
        raise BadArguments("Give either a patch, or content and how it is described.")
    if "patch" in arguments:
        return _changed(await asking.ask("resources/patch", arguments))
    return _changed(await asking.ask("resources/write", {**arguments, "must_exist": True}))


async def delete(asking: Asking, arguments: Arguments) -> Result:
    return _told(_plain(await asking.ask("resources/delete", arguments)))


async def search(asking: Asking, arguments: Arguments) -> Result:
    found = _plain(await asking.ask("resources/search", arguments))
    return _told(found, [_link(one) for one in found["resources"]])


async def history(asking: Asking, arguments: Arguments) -> Result:
    return _told(_plain(await asking.ask("resources/history", arguments)))


def _plain(result: Any) -> Result:
    """A result as plain values: parts of it may be JSON already."""
    plain: Result = orjson.loads(orjson.dumps(result, option=orjson.OPT_UTC_Z))
    return plain


def _changed(result: Any) -> Result:
    resource = {name: value for name, value in _plain(result).items() if name not in CONTENTS}
    return _told(resource, [_link(resource)])


def _link(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "resource_link",
        "uri": resource["uri"],
        "name": resource["name"] or resource["uri"],
        "mimeType": resource["mime_type"],
        **({"title": resource["title"]} if resource["title"] else {}),
    }


def _told(value: Result, links: list[dict[str, Any]] | None = None) -> Result:
    """A value as structured content, as text for those who read only that, and links to what it is about."""
    text = {"type": "text", "text": orjson.dumps(value).decode()}
    return {"content": [text, *(links or [])], "structuredContent": value}


READS = {"readOnlyHint": True, "openWorldHint": False}

register(
    Tool(
        name="resource_create",
        title="Create a resource",
        description="Creates a resource with content under a URI that has none yet.",
        input=taken(("uri",), {"uri": URI}, CONTENT, DESCRIBED, {"on_conflict": BASED["on_conflict"]}, ONCE),
        output=CHANGED,
        annotations={
            "readOnlyHint": False,
            "destructiveHint": False,
            "idempotentHint": False,
            "openWorldHint": False,
        },
        needs=("resources:read", "resources:write"),
        run=create,
    ),
    Tool(
        name="resource_update",
        title="Change a resource",
        description=(
            "Gives a resource new content, or changes a part of it by a patch. Say with base_version what you have "
            "read, so that nobody's change is overwritten unseen."
        ),
        input=taken(("uri",), {"uri": URI}, CONTENT, PATCH, DESCRIBED, BASED, ONCE),
        output=CHANGED,
        annotations={"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": False},
        needs=("resources:read", "resources:write"),
        run=update,
    ),
    Tool(
        name="resource_delete",
        title="Delete a resource",
        description="Deletes a resource. Its history stays, and it may be created again.",
        input=taken(("uri",), {"uri": URI}, BASED, ONCE),
        output=given(
            ("uri", "version", "offset"), {"uri": URI, "version": VERSION, "offset": INTEGER, "resolution": TEXT}
        ),
        annotations={"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
        needs=("resources:read", "resources:delete"),
        run=delete,
    ),
    Tool(
        name="resource_search",
        title="Find resources",
        description="Finds what you may read: by the beginning of the URI, by text, or by a value in the JSON.",
        input=taken(
            (),
            {
                "prefix": {"type": "string", "description": "What the URI begins with."},
                "text": {
                    "type": "string",
                    "description": "What stands in URI, name, title, description or content.",
                },
                "path": {"type": "string", "description": "A JSONPath (RFC 9535) that finds something in the content."},
                "value": {"description": "What the path has to find; without it, anything."},
                "limit": LIMIT,
                "cursor": CURSOR,
            },
        ),
        output=page_of("resources", given(("uri", "version"), ENTRY)),
        annotations=READS,
        needs=("resources:read",),
        run=search,
    ),
    Tool(
        name="resource_history",
        title="See how a resource has changed",
        description="Lists the versions of a resource, the latest first.",
        input=taken(("uri",), {"uri": URI, "limit": LIMIT, "cursor": CURSOR}),
        output=page_of("versions", PAST),
        annotations=READS,
        needs=("resources:read",),
        run=history,
    ),
)
