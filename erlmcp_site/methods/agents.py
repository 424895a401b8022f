"""The methods that agents begin with: what this service is, and which tools it has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rest_framework import serializers

from erlmcp_site import VERSION
from erlmcp_site.methods.table import Method, register
from erlmcp_site.methods.tools import resources  # noqa: F401  # registers the tools on resources
from erlmcp_site.methods.tools.registry import TOOLS, Tool
from erlmcp_site.pipeline.passage import Passage
from resources_app.tool_overrides import ToolOverride, tool_overrides


async def discover(passage: Passage) -> Any:
    return {"name": "erlmcp", "version": VERSION}


async def list_tools(passage: Passage) -> Any:
    return {"tools": [tool.described() for tool in (await present_tools()).values()]}


async def present_tools() -> Mapping[str, Tool]:
    """The tools that there are, as the operator wants them: some may be switched off, or called otherwise."""
    overrides = (await tool_overrides.find()).known
    if not overrides:
        return TOOLS
    wanted = {name: (tool, overrides.get(name, ToolOverride())) for name, tool in TOOLS.items()}
    return {name: _overridden(tool, override) for name, (tool, override) in wanted.items() if override.enabled}


def _overridden(tool: Tool, override: ToolOverride) -> Tool:
    title, description = override.title, override.description
    return replace(
        tool,
        title=tool.title if title is None else title,
        description=tool.description if description is None else description,
    )


register(
    Method(
        name="server/discover",
        run=discover,
        params=serializers.Serializer(),
        needs=None,
        reads=True,
        resource_type="server",
    ),
    Method(
        name="tools/list", run=list_tools, params=serializers.Serializer(), needs=None, reads=True, resource_type="tool"
    ),
)
