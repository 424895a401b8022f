"""Overrides: what an operator wants other than it is built in a tool."""

from dataclasses import dataclass
from typing import Any

from jsonschema_rs import Draft202012Validator

from resources_app.definitions import Definitions, check
from resources_app.state import ResourceState

VALIDATOR = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "enabled": {"type": "boolean"},
            "title": {"type": "string", "maxLength": 255},
            "description": {"type": "string"},
        },
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOverride:
    """Whether a tool is there at all, and how it is called and described where that is not as built (None)."""

    enabled: bool = True
    title: str | None = None
    description: str | None = None


def read_override(name: str, state: ResourceState, value: Any) -> ToolOverride:
    """The override that a resource holds. Raises Malformed."""
    check(value, VALIDATOR)
    return ToolOverride(**value)


tool_overrides = Definitions("tools", read_override)
"""By the name of the tool. They hold for everybody, also for those who may not read them."""
