"""Completing what somebody types: arguments of prompts, and variables of templates by what the caller may see."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from rest_framework import serializers

from audit_app.errors import InvalidParams
from erlmcp_site.methods.listing import Walk
from erlmcp_site.methods.prompts import found, prompt_of, readable
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.authorisation import demand
from erlmcp_site.pipeline.passage import Passage
from resources_app.prompts import MAX_ARGUMENT, prompts
from resources_app.serializers import ExactField
from resources_app.templates import Template, collections, expanded
from resources_app.uris import END, MAX_URI_BYTES, normalise
from sessions_app.access.rulebook import rulebook

MAX_VALUES = 100
PORTION = 250

PROMPT, RESOURCE = "ref/prompt", "ref/resource"


class ReferenceParams(serializers.Serializer[Any]):
    """A prompt by its `name`, or a template by its `uri`."""

    type = serializers.ChoiceField([PROMPT, RESOURCE])
    name = ExactField(required=False, max_length=255)
    uri = ExactField(required=False, max_length=MAX_URI_BYTES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wanted = "name" if attrs["type"] == PROMPT else "uri"
        if wanted not in attrs:
            raise serializers.ValidationError({wanted: "This is what is referred to."})
        return attrs


class ArgumentParams(serializers.Serializer[Any]):
    """The argument or variable, and what has been typed of it."""

    name = ExactField(max_length=255)
    value = ExactField(default="", allow_blank=True, max_length=MAX_URI_BYTES)


class ContextParams(serializers.Serializer[Any]):
    """The arguments or variables that have a value already."""

    arguments = serializers.DictField(child=ExactField(allow_blank=True, max_length=MAX_ARGUMENT), default=dict)


class CompleteParams(serializers.Serializer[Any]):
    ref = ReferenceParams()
    argument = ArgumentParams()
    context = ContextParams(required=False)  # type: ignore[assignment]


async def complete(passage: Passage) -> Any:
    params = passage.params
    ref, name, value = params["ref"], params["argument"]["name"], params["argument"]["value"]
    known = {one: text for one, text in params.get("context", {}).get("arguments", {}).items() if one != name and text}
    if ref["type"] == PROMPT:
        return await _of_prompt(passage, ref["name"], name, value, known)
    passage.resource_type, passage.resource_id = "resource", ref["uri"]
    for collection in await readable(passage, collections):
        if collection.template.text == ref["uri"]:
            return await _of_template(passage, collection.template, name, value, known)
    raise InvalidParams("There is no such template.", uri=ref["uri"])


async def _of_prompt(passage: Passage, prompt_name: str, name: str, value: str, known: Mapping[str, str]) -> Any:
    passage.resource_id = prompt_name
    uri = normalise(prompts.prefix + prompt_name)
    await demand(passage.known_caller, passage.request.method, "resources:read", uri)
    prompt = prompt_of(await found(passage, prompts), prompt_name)
    argument = prompt.arguments.get(name)
    if argument is None:
        raise InvalidParams(f"The prompt has no argument {name}.", argument=name)
    if argument.template is not None:
        variables = argument.template.variables
        variable = name if name in variables else variables[-1]
        return await _of_template(passage, argument.template, variable, value, known)
    begun = value.casefold()
    values = [one for one in argument.values if one.casefold().startswith(begun)]
    return {"values": values[:MAX_VALUES], "total": len(values), "has_more": len(values) > MAX_VALUES}


async def _of_template(
    passage: Passage, template: Template, variable: str, value: str, known: Mapping[str, str]
) -> Any:
    """The values of a variable for which there is a resource that the caller may read; bounded as a list is."""
    if variable not in template.variables:
        raise InvalidParams(f"The template has no variable {variable}.", argument=variable)
    begun, is_next = template.beginning(known, variable)
    prefix = begun + expanded(value) if is_next else begun
    walk = Walk(await rulebook.read(), passage.known_caller, prefix, "")
    values: dict[str, None] = {}
    while not (walk.is_over or walk.is_tired or len(values) > MAX_VALUES):
        portion = await walk.portion(PORTION)
        for state in portion:
            made = template.values(state.uri)
            if made is not None and made[variable].startswith(value) and _agree(made, known):
                values[made[variable]] = None
        if portion and is_next:
            # whatever else lies below a value that is known brings nothing new
            segment = portion[-1].uri[len(begun) :].partition("/")[0]
            if template.ends_openly or unquote(segment) in values:
                walk.skip(f"{begun}{segment}/{END}")
    passage.offset, passage.position = walk.offset, walk.upto
    is_whole = walk.is_over and len(values) <= MAX_VALUES
    completed = {"values": list(values)[:MAX_VALUES], "has_more": not is_whole}
    return {**completed, "total": len(values)} if is_whole else completed


def _agree(made: Mapping[str, str], known: Mapping[str, str]) -> bool:
    return all(known.get(name, value) == value for name, value in made.items())


register(
    Method(
        name="completion/complete",
        run=complete,
        params=CompleteParams(),
        needs=None,
        reads=True,
        resource_type="prompt",
    )
)
