"""URI templates (RFC 6570, level 1), and the collections of resources that they stand for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from jsonschema_rs import Draft202012Validator

from audit_app.errors import Refusal
from resources_app.definitions import Definitions, Malformed, check
from resources_app.state import ResourceState
from resources_app.uris import MAX_URI_BYTES, normalise

_VARIABLE = re.compile(r"\{([A-Za-z0-9_]+)\}", re.ASCII)
_BETWEEN = re.compile(r"[^A-Za-z0-9._~%-]")
_VALUE = r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+"

MAX_VARIABLES = 16

VALIDATOR = Draft202012Validator(
    {
        "type": "object",
        "required": ["template"],
        "properties": {
            "template": {"type": "string", "maxLength": MAX_URI_BYTES},
            "title": {"type": "string", "maxLength": 255},
            "description": {"type": "string"},
            "mime_type": {"type": "string", "maxLength": 255},
        },
    }
)


@dataclass(frozen=True)
class Template:
    """A URI template: texts in their normal spelling, with variables between them.

    `texts` has one more than `variables`; it begins and may end with "".
    """

    text: str
    texts: tuple[str, ...]
    variables: tuple[str, ...]

    @property
    def ends_openly(self) -> bool:
        """Whether a variable is the last of it."""
        return not self.texts[-1]

    @cached_property
    def _matching(self) -> re.Pattern[str]:
        parts, seen = [re.escape(self.texts[0])], set()
        for variable, text in zip(self.variables, self.texts[1:], strict=True):
            parts.append(f"(?P={variable})" if variable in seen else f"(?P<{variable}>{_VALUE})")
            parts.append(re.escape(text))
            seen.add(variable)
        return re.compile("".join(parts), re.ASCII)

    def values(self, uri: str) -> Mapping[str, str] | None:
        """The values of the variables that make this URI of the template; None when there are none."""
        match = self._matching.fullmatch(uri)
        if match is None:
            return None
        return {name: unquote(value, errors="replace") for name, value in match.groupdict().items()}

    def beginning(self, known: Mapping[str, str], variable: str) -> tuple[str, bool]:
        """What all URIs begin with in which some variables have these values, up to the first place of another one.

        Also whether that place is that of a certain variable.
        """
        begun = self.texts[0]
        for name, text in zip(self.variables, self.texts[1:], strict=True):
            if name == variable or name not in known:
                return begun, name == variable
            begun += expanded(known[name]) + text
        return begun, False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection of resources under its name, as it is stored."""

    name: str
    uri: str
    template: Template
    title: str
    description: str
    mime_type: str

    def as_json(self) -> dict[str, Any]:
        """What a list tells of it."""
        return {
            "name": self.name,
            "template": self.template.text,
            "title": self.title,
            "description": self.description,
            "mime_type": self.mime_type,
        }


def parse_template(text: str) -> Template:
    """The template that a text is. Raises Malformed."""
    parts = _VARIABLE.split(text)
    texts, variables = tuple(parts[::2]), tuple(parts[1::2])
    if any("{" in one or "}" in one for one in texts):
        raise Malformed("the template has other expressions than {name}")
    if not variables or any(one[0].isdigit() for one in variables):
        raise Malformed("the template has no variable, or one that begins with a digit")
    if len(variables) > MAX_VARIABLES:
        raise Malformed("the template has too many variables")
    if not all(_BETWEEN.search(one) for one in texts[1:-1]):
        # else one URI could be made in many ways, and to look for all of them could take for ever
        raise Malformed("between two variables stands no slash, nor another character that no value has")
    example = "x".join(texts)
    try:
        normal = normalise(example)
    except Refusal as refusal:
        raise Malformed(f"the template makes no URI of a resource: {refusal.message}") from None
    if normal != example:
        raise Malformed("the template is not in the normal spelling of URIs")
    return Template(text, texts, variables)


def read_collection(name: str, state: ResourceState, value: Any) -> Collection:
    """The collection that a resource holds. Raises Malformed."""
    check(value, VALIDATOR)
    return Collection(
        name=name,
        uri=state.uri,
        template=parse_template(value["template"]),
        title=value.get("title") or state.title,
        description=value.get("description") or state.description,
        mime_type=value.get("mime_type", ""),
    )


def expanded(value: str) -> str:
    """A value as it stands in a URI (RFC 6570 §3.2.2)."""
    return quote(value, safe="")


collections = Definitions("collections", read_collection)
