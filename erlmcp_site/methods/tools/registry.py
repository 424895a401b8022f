"""The tools that are there, and what each takes and gives (JSON Schema 2020-12)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from jsonschema_rs import Draft202012Validator


class Asking(Protocol):
    """Whoever a tool works for: it asks methods of the table with that caller's rights."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """The result of a method; raises when it is refused."""


class ToolFailure(Exception):
    """The tool could not do what it was asked, for a reason that the agent can understand and act on."""


class BadArguments(ToolFailure):
    """The arguments are not what the tool takes."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool. `run` is given whoever it works for and arguments that fit `input`, and returns a CallToolResult of MCP.

    `output` is the schema of its `structuredContent`, None for a tool that has none. `needs` are the permissions that
    its work takes altogether, for a client whose token lacks some.
    """

    name: str
    title: str
    description: str
    input: Mapping[str, Any]
    run: Callable[[Any, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    output: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(dict(self.input))

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises BadArguments, which says where and why."""
        error = next(iter(self._validator.iter_errors(arguments)), None)
        if error is not None:
            place = "/".join(map(str, error.instance_path))
            raise BadArguments(f"{place or 'arguments'}: {error.message}")

    def described(self) -> dict[str, Any]:
        """The tool as `tools/list` tells of it."""
        told = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input,
            "outputSchema": self.output,
            "annotations": self.annotations,
        }
        return {name: value for name, value in told.items() if value}


TOOLS: dict[str, Tool] = {}


def register(*tools: Tool) -> None:
    """Add tools, in the order in which they are listed. Raises ValueError when a name is taken."""
    for tool in tools:
        if tool.name in TOOLS:
            raise ValueError(f"tool {tool.name} is registered twice")
        TOOLS[tool.name] = tool
