"""Resources over REST (contract §2, §3)."""

import re
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from audit_app.errors import InvalidParams
from erlmcp_site.pipeline.errors import UnsupportedMediaType
from erlmcp_site.transports.http.answers import Application, problem_answer
from erlmcp_site.transports.http.api import Handler
from erlmcp_site.transports.http.bodies import document_of, json_of, media_type
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import VERSION_OR_ANY, VERSION_TAG, WITH_BODY, documented, header, query
from erlmcp_site.transports.http.unread import Undecodable, refuse
from erlmcp_site.transports.http.views import refused_verb, wrong_verb
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of, flag
from erlmcp_site.transports.rest.documents import (
    BatchResults,
    CreateBody,
    Deleted,
    FoundPage,
    PatchQuery,
    Representation,
    ResourceDocument,
    ResourcePage,
    RestoreQuery,
    SearchBody,
    WriteBody,
)
from erlmcp_site.transports.rest.preconditions import asks_any_version, base_version, must_be_new
from resources_app.errors import InvalidUri
from resources_app.patch import MAX_OPERATIONS
from resources_app.queries import Consistency
from resources_app.serializers import MAX_OFFSET, BatchParams, ListParams
from resources_app.uris import MAX_URI_BYTES

PATCH_TYPES = {
    "application/merge-patch+json": "merge",
    "application/json": "merge",
    "application/json-patch+json": "json",
}
ACCEPT_PATCH = (b"accept-patch", b"application/merge-patch+json, application/json-patch+json")

WRITING = ("invalid_uri", "version_conflict", "method_not_found")
PRECONDITION_FAILED = {412: "version_conflict"}
JSON_PATCH = {
    "type": "array",
    "maxItems": MAX_OPERATIONS,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    },
}
NOT_POST = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
PART_OF_URI = {"type": "string", "maxLength": MAX_URI_BYTES}
ADDRESS = (
    OpenApiParameter("authority", PART_OF_URI, OpenApiParameter.PATH, description="The authority of the URI."),
    OpenApiParameter(
        "path",
        PART_OF_URI,
        OpenApiParameter.PATH,
        description="The path of the URI, slashes and escapes as they are: a tool that makes them %2F names another.",
    ),
    query("scheme", "The scheme of the URI.", default="resource", pattern="^[A-Za-z][A-Za-z0-9+.-]*$"),
)
VERSION = {"type": "integer", "minimum": 1, "maximum": MAX_OFFSET}
READING = (
    query("version", "The version to read; else the present one.", VERSION),
    query("raw", "Answer the content itself under its mime type.", OpenApiTypes.BOOL),
    query("diff", "Tell what has changed since this version instead, up to `version` or the present one.", VERSION),
    query("history", "Tell of the versions instead, the newest first.", OpenApiTypes.BOOL),
    query("limit", "Of the history: versions on a page, up to 1,000.", OpenApiTypes.INT),
    query("cursor", "Of the history: `next_cursor` of the page before."),
    header("If-None-Match", "Versions that the client has: 304 when one is that asked for.", pattern=VERSION_TAG),
    header("Read-Consistency", "What the read promises.", enum=[choice.value for choice in Consistency]),
    header("Read-After", "A position that the answer has to reflect.", pattern="^[0-9]{1,18}$"),
)
IF_MATCH = header("If-Match", "The version that the change is based on, or * for any.", pattern=VERSION_OR_ANY)
IF_NONE_MATCH_ANY = header("If-None-Match", "Only create.", enum=["*"])

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)


class ResourcesView(MethodView):
    """All resources."""

    @documented("resources/list", {200: ResourcePage}, parameters=[ListParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("resources/list", fields_of(incoming, "prefix", "limit", "cursor"))

    @documented(
        "resources/create",
        {201: ResourceDocument},
        body=CreateBody,
        refusals=[*WRITING, "already_exists"],
    )
    def post(self, incoming: Incoming) -> Call:
        params = document_of(incoming)
        return Call("resources/create", params, encoding.change(params))


class SearchView(MethodView):
    """The resources in which something is found."""

    @documented("resources/search", {200: FoundPage}, body=SearchBody)
    def post(self, incoming: Incoming) -> Call:
        return Call("resources/search", document_of(incoming))


class BatchView(MethodView):
    """Several changes, applied all or not at all."""

    max_body_bytes = 8 * settings.RESOURCE_MAX_BYTES

    @documented(
        "resources/batch",
        {200: BatchResults},
        body=BatchParams,
        refusals=[*WRITING, "already_exists", "patch_failed"],
    )
    def post(self, incoming: Incoming) -> Call:
        return Call("resources/batch", document_of(incoming))


class ResourceView(MethodView):
    """One resource, at any version, or what its versions were and how they differ."""

    @documented(
        "resources/read",
        {(200, "application/json"): Representation, (200, "*/*"): OpenApiTypes.BINARY, 304: None},
        parameters=[*ADDRESS, *READING],
        refusals=["invalid_uri", "method_not_found"],
    )
    def get(self, incoming: Incoming, authority: str, path: str | None = None) -> Call:
        params = {"uri": _uri(incoming, authority, path)}
        if incoming.query:
            if flag(incoming, "history"):
                return Call("resources/history", params | fields_of(incoming, "limit", "cursor"))
            if "diff" in incoming.query:
                return Call("resources/diff", params | _versions(incoming))
            params |= fields_of(incoming, "version")
            if flag(incoming, "raw"):
                return Call("resources/read", params | {"raw": True} | _consistency(incoming), encoding.content)
        return Call("resources/read", params | _consistency(incoming), encoding.resource)

    @documented(
        "resources/write",
        {200: ResourceDocument, 201: ResourceDocument},
        parameters=[*ADDRESS, IF_MATCH, IF_NONE_MATCH_ANY],
        body=WriteBody,
        refusals=WRITING,
        statuses=PRECONDITION_FAILED,
    )
    def put(self, incoming: Incoming, authority: str, path: str | None = None) -> Call:
        params = document_of(incoming) | {"uri": _uri(incoming, authority, path)}
        if must_be_new(incoming):
            return Call("resources/create", params, encoding.change(params), conditional=True)
        return _based("resources/write", incoming, params)

    @documented(
        "resources/restore",
        {200: ResourceDocument, 201: ResourceDocument},
        parameters=[*ADDRESS, RestoreQuery, IF_MATCH],
        refusals=[*WRITING, *WITH_BODY, "method_not_allowed"],
        statuses=PRECONDITION_FAILED,
    )
    def post(self, incoming: Incoming, authority: str, path: str | None = None) -> Call:
        params = {"uri": _uri(incoming, authority, path), "version": incoming.query["restore"]}
        params |= fields_of(incoming, "on_conflict", "base_version")
        return _based("resources/restore", incoming, params)

    @documented(
        "resources/patch",
        {200: ResourceDocument},
        parameters=[*ADDRESS, PatchQuery, IF_MATCH],
        body={"application/merge-patch+json": {"type": "object"}, "application/json-patch+json": JSON_PATCH},
        refusals=[*WRITING, "patch_failed"],
        statuses=PRECONDITION_FAILED,
    )
    def patch(self, incoming: Incoming, authority: str, path: str | None = None) -> Call:
        patch_type = PATCH_TYPES.get(media_type(incoming))
        if patch_type is None:
            raise UnsupportedMediaType(accepted=list(PATCH_TYPES))
        params = {"uri": _uri(incoming, authority, path), "patch": json_of(incoming.body), "patch_type": patch_type}
        params |= fields_of(incoming, "on_conflict", "base_version")
        return _based("resources/patch", incoming, params)

    @documented(
        "resources/delete",
        {200: Deleted},
        parameters=[*ADDRESS, PatchQuery, IF_MATCH],
        refusals=[*WRITING, *WITH_BODY],
        statuses=PRECONDITION_FAILED,
    )
    def delete(self, incoming: Incoming, authority: str, path: str | None = None) -> Call:
        params = {"uri": _uri(incoming, authority, path)}
        params |= fields_of(incoming, "on_conflict", "base_version")
        return _based("resources/delete", incoming, params)

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        if incoming.method == "POST" and "restore" not in incoming.query:
            return refused_verb(incoming, await refuse(incoming, wrong_verb(NOT_POST)), NOT_POST)
        try:
            return await super().serve(incoming, handler, path)
        except Undecodable as undecodable:
            if incoming.method != "PATCH" or not isinstance(undecodable.refusal, UnsupportedMediaType):
                raise
            refusal = await refuse(incoming, undecodable.refusal, undecodable.method)
            return problem_answer(refusal, incoming, headers=[ACCEPT_PATCH])


def _versions(incoming: Incoming) -> dict[str, str]:
    """The two versions of a comparison."""
    query = incoming.query
    return {"from": query["diff"], **({"to": query["version"]} if "version" in query else {})}


def _uri(incoming: Incoming, authority: str, path: str | None) -> str:
    """The URI that is addressed; with no path where the address has none behind the authority."""
    scheme = incoming.query.get("scheme", "resource")
    if not _SCHEME.fullmatch(scheme):
        raise InvalidUri("The scheme is not one that a URI can have.")
    return f"{scheme}://{authority}" + ("" if path is None else f"/{path}")


def _based(method: str, incoming: Incoming, params: dict[str, Any]) -> Call:
    """A change under the condition of If-Match, if there is one."""
    if asks_any_version(incoming):
        return Call(method, params | {"must_exist": True}, encoding.change(params), conditional=True)
    base = base_version(incoming)
    if base is not None:
        if params.get("base_version", base) != base:
            raise InvalidParams("If-Match and base_version name different versions.")
        params["base_version"] = base
    return Call(method, params, encoding.change(params), conditional=base is not None)


def _consistency(incoming: Incoming) -> dict[str, str]:
    headers, told = incoming.headers, {}
    if "read-consistency" in headers:
        told["consistency"] = headers["read-consistency"]
    if "read-after" in headers:
        told["after"] = headers["read-after"]
    return told
