"""Prompts: messages for a model with places for arguments, as they are stored and as they are filled."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import Draft202012Validator

from audit_app.errors import InvalidParams, TooLarge
from resources_app.definitions import NAME, Definitions, Malformed, check
from resources_app.state import ResourceState
from resources_app.templates import Template, parse_template

MAX_ARGUMENT = 65_536
MAX_FILLED = 1024 * 1024
"""Characters of all texts of a filled prompt together."""

FILLED = ("text", "uri", "name", "title", "description")
"""What in a block of content may name arguments."""

_PLACE = re.compile(r"\{\{ *([A-Za-z0-9_.-]+) *\}\}", re.ASCII)

TEXT = {"type": "string"}
LINE = {"type": "string", "maxLength": 255}
COMMON = {"annotations": {"type": "object"}}


def _block(kind: str, required: list[str], **properties: Any) -> dict[str, Any]:
    known = {"type": {"const": kind}, **properties, **COMMON}
    return {"type": "object", "required": ["type", *required], "properties": known, "additionalProperties": False}


def _embedded() -> dict[str, Any]:
    return {"type": "object", "required": ["uri"], "properties": {"uri": TEXT}, "additionalProperties": False}


BLOCKS = {
    "text": _block("text", ["text"], text=TEXT),
    "image": _block("image", ["data", "mimeType"], data=TEXT, mimeType=TEXT),
    "audio": _block("audio", ["data", "mimeType"], data=TEXT, mimeType=TEXT),
    "resource": _block("resource", ["resource"], resource=_embedded()),
    "resource_link": _block(
        "resource_link", ["uri", "name"], uri=TEXT, name=TEXT, title=TEXT, description=TEXT, mimeType=TEXT
    ),
}
"""Blocks of content as MCP has them; a resource is named by its URI, and its content stands there when it is filled."""

ARGUMENT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
        "title": LINE,
        "description": TEXT,
        "required": {"type": "boolean"},
        "values": {"type": "array", "maxItems": 1000, "items": {"type": "string", "maxLength": 1000}},
        "template": TEXT,
    },
}
MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["user", "assistant"]},
        "content": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": list(BLOCKS)}},
            "allOf": [
                {"if": {"properties": {"type": {"const": kind}}}, "then": block} for kind, block in BLOCKS.items()
            ],
        },
    },
}
VALIDATOR = Draft202012Validator(
    {
        "type": "object",
        "required": ["messages"],
        "properties": {
            "title": LINE,
            "description": TEXT,
            "arguments": {"type": "array", "maxItems": 50, "items": ARGUMENT},
            "messages": {"type": "array", "minItems": 1, "maxItems": 50, "items": MESSAGE},
        },
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a prompt; `values`, or else the resources under a template, are what it may be completed to."""

    name: str
    title: str = ""
    description: str = ""
    required: bool = False
    values: tuple[str, ...] = ()
    template: Template | None = None

    def as_json(self) -> dict[str, Any]:
        """What callers are told of it."""
        told = {"name": self.name, "title": self.title, "description": self.description, "required": self.required}
        return {name: value for name, value in told.items() if value != ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt under its name, as it is stored."""

    name: str
    uri: str
    title: str
    description: str
    arguments: Mapping[str, Argument]
    messages: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """What a list tells of it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "arguments": [argument.as_json() for argument in self.arguments.values()],
        }

    def fill(self, given: Mapping[str, str]) -> list[dict[str, Any]]:
        """The messages with the arguments in their places; one that is not given is empty there.

        What an argument itself holds is left as it is. Raises InvalidParams for required arguments that are missing,
        which its data describes, and for one that there is not; TooLarge.
        """
        unknown = sorted(given.keys() - self.arguments.keys())
        if unknown:
            raise InvalidParams(f"The prompt has no argument {unknown[0]}.", argument=unknown[0])
        missing = [one for one in self.arguments.values() if one.required and one.name not in given]
        if missing:
            name, all_of_them = missing[0].name, [one.as_json() for one in missing]
            raise InvalidParams(f"The argument {name} is missing.", argument=name, missing=all_of_them)
        room = [MAX_FILLED]

        def filled(text: str) -> str:
            result = _PLACE.sub(lambda place: given.get(place[1], ""), text)
            room[0] -= len(result)
            if room[0] < 0:
                raise TooLarge(f"The filled prompt has more than {MAX_FILLED} characters.", limit=MAX_FILLED)
            return result

        return [{"role": message["role"], "content": _filled(message["content"], filled)} for message in self.messages]


def read_prompt(name: str, state: ResourceState, value: Any) -> Prompt:
    """The prompt that a resource holds. Raises Malformed."""
    check(value, VALIDATOR)
    arguments: dict[str, Argument] = {}
    for each in value.get("arguments", ()):
        argument = Argument(
            name=each["name"],
            title=each.get("title", ""),
            description=each.get("description", ""),
            required=each.get("required", False),
            values=tuple(each.get("values", ())),
            template=parse_template(each["template"]) if "template" in each else None,
        )
        if argument.name in arguments:
            raise Malformed("an argument stands there twice")
        arguments[argument.name] = argument
    for message in value["messages"]:
        for text in _texts(message["content"]):
            if not arguments.keys() >= set(_PLACE.findall(text)):
                raise Malformed("a message names an argument that the prompt does not have")
    return Prompt(
        name=name,
        uri=state.uri,
        title=value.get("title") or state.title,
        description=value.get("description") or state.description,
        arguments=arguments,
        messages=tuple(value["messages"]),
    )


def _filled(block: Mapping[str, Any], filled: Any) -> dict[str, Any]:
    result = {name: filled(value) if name in FILLED else value for name, value in block.items()}
    if "resource" in result:
        result["resource"] = {"uri": filled(result["resource"]["uri"])}
    return result


def _texts(block: Mapping[str, Any]) -> Iterator[str]:
    yield from (value for name, value in block.items() if name in FILLED)
    if "resource" in block:
        yield block["resource"]["uri"]


prompts = Definitions("prompts", read_prompt)
