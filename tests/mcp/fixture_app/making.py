"""How a tool of the suite is made."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from erlmcp_site.methods.tools.registry import Tool
from erlmcp_site.transports.mcp.exchange import Exchange
from tests.mcp.fixture_app.media import text

Result = Mapping[str, Any]
Run = Callable[[Exchange, Mapping[str, Any]], Awaitable[Result]]

NOTHING: Final = {"type": "object"}


def tool(run: Run, takes: Mapping[str, Any] = NOTHING) -> Tool:
    """A tool with the name of the function that it runs, and what its docstring says as its description."""
    name, description = run.__name__, run.__doc__
    assert description is not None
    return Tool(name=name, title=name.replace("_", " "), description=description, input=takes, run=run)


def says(*blocks: Mapping[str, Any] | str) -> Result:
    """A result with these blocks of content; texts are made blocks."""
    return {"content": [text(block) if isinstance(block, str) else block for block in blocks]}
