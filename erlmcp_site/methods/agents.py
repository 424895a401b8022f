"""The methods that agents begin with: what this service is, and which tools it has."""

from typing import Any

from rest_framework import serializers

from erlmcp_site import VERSION
from erlmcp_site.methods.table import Method, register
from erlmcp_site.methods.tools import resources  # noqa: F401  # registers the tools on resources
from erlmcp_site.methods.tools.registry import TOOLS
from erlmcp_site.pipeline.passage import Passage


async def discover(passage: Passage) -> Any:
    return {"name": "erlmcp", "version": VERSION}


async def list_tools(passage: Passage) -> Any:
    return {"tools": [tool.described() for tool in TOOLS.values()]}


register(
    Method(name="server/discover", run=discover, params=serializers.Serializer(), needs=None, reads=True),
    Method(name="tools/list", run=list_tools, params=serializers.Serializer(), needs=None, reads=True),
)
