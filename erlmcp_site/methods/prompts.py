"""Prompts and collections: what is stored for agents, as far as its caller may read it (docs/prompts.md)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from rest_framework import serializers

from audit_app.errors import InvalidParams
from erlmcp_site.methods.causality import position_of
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.resources import present
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.authorisation import demand
from erlmcp_site.pipeline.passage import Passage
from resources_app.definitions import Definitions, Found
from resources_app.errors import ResourceNotFound
from resources_app.prompts import MAX_ARGUMENT, Prompt, prompts
from resources_app.serializers import ExactField, PageParams
from resources_app.state import Kind, ResourceState
from resources_app.templates import collections
from resources_app.uris import normalise
from sessions_app.access.decisions import may
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Verb
from sessions_app.positions import PositionUnknown


class Defined(Protocol):
    """A prompt or a collection."""

    @property
    def uri(self) -> str: ...
    def as_json(self) -> dict[str, Any]: ...


D = TypeVar("D", bound=Defined)


class GetParams(serializers.Serializer[Any]):
    """A prompt by its name, and the arguments to fill it with."""

    name = ExactField(max_length=255)
    arguments = serializers.DictField(child=ExactField(allow_blank=True, max_length=MAX_ARGUMENT), default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "uri": normalise(prompts.prefix + attrs["name"])}


async def list_prompts(passage: Passage) -> Any:
    shown = await readable(passage, prompts)
    return _page("prompts", shown, passage.params)


async def list_templates(passage: Passage) -> Any:
    shown = await readable(passage, collections)
    return _page("templates", shown, passage.params)


async def get_prompt(passage: Passage) -> Any:
    params = passage.params
    prompt = prompt_of(await found(passage, prompts), params["name"])
    messages = prompt.fill(params["arguments"])
    for message in messages:
        content = message["content"]
        if content["type"] == "resource":
            content["resource"] = await _embedded(passage, content["resource"]["uri"])
    return {"name": prompt.name, "title": prompt.title, "description": prompt.description, "messages": messages}


async def found(passage: Passage, definitions: Definitions[D]) -> Found[D]:
    """All definitions of a kind, as of what the caller's session knows at least."""
    try:
        after: int | None = await position_of(passage)
    except PositionUnknown:
        after = None
    passage.position = passage.offset
    return await definitions.find(after)


async def readable(passage: Passage, definitions: Definitions[D]) -> list[D]:
    """The definitions of a kind that the caller may read, by their names."""
    known = (await found(passage, definitions)).known.values()
    index, caller = await rulebook.read(), passage.known_caller
    return [one for one in known if may(index, caller, Verb.READ, one.uri)]


def prompt_of(found: Found[Prompt], name: str) -> Prompt:
    """A prompt by its name. Raises ResourceNotFound; InvalidParams for one that is malformed, saying how."""
    if name in found.malformed:
        raise InvalidParams(f"What is stored under this name is no prompt: {found.malformed[name]}.", name=name)
    if name not in found.known:
        raise ResourceNotFound(uri=prompts.prefix + name)
    return found.known[name]


async def _embedded(passage: Passage, text: str) -> Mapping[str, str]:
    """The content of a resource as MCP embeds it, for a caller who may read it."""
    uri = normalise(text)
    passage.details.setdefault("embedded", []).append(uri)
    await demand(passage.known_caller, passage.request.method, "resources:read", uri)
    state = (await present(passage, uri)).state
    return {"uri": uri, "mimeType": state.mime_type, **_contents(state)}


def _contents(state: ResourceState) -> Mapping[str, str]:
    return {"blob" if state.kind is Kind.BLOB else "text": state.body.decode()}


def _page(plural: str, defined: Sequence[Defined], params: Mapping[str, Any]) -> Any:
    after, limit = cursor_of(params), params["limit"]
    rest = [one for one in defined if one.uri > after]
    return page(plural, [one.as_json() for one in rest[: limit + 1]], limit, lambda index: rest[index].uri)


register(
    Method(name="prompts/list", run=list_prompts, params=PageParams(), needs=None, reads=True, resource_type="prompt"),
    Method(
        name="prompts/get",
        run=get_prompt,
        params=GetParams(),
        needs="resources:read",
        on="uri",
        reads=True,
        resource_type="prompt",
        resource="name",
    ),
    Method(
        name="resources/templates",
        run=list_templates,
        params=PageParams(),
        needs=None,
        reads=True,
        resource_type="resource",
    ),
)
