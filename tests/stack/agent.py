"""An agent: calls methods of the table as MCP has them, a read or a tool, and is refused as other clients are."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import orjson

from tests.stack.answers import Answer, Refused
from tests.stack.door import Door
from tests.stack.mcp_client import Mcp

TOOLS = {
    "resources/create": "resource_create",
    "resources/write": "resource_update",
    "resources/patch": "resource_update",
    "resources/delete": "resource_delete",
    "resources/history": "resource_history",
}


def can_call(method: str, params: Mapping[str, Any]) -> bool:
    """Whether MCP has this call: it knows no earlier versions of a resource."""
    return method in TOOLS or (method == "resources/read" and params.keys() <= {"uri", "consistency", "after"})


class Agent:
    """One caller; `user_agent` is told in each request."""

    def __init__(self, door: Door, token: str | None, user_agent: str = "agent") -> None:
        self.mcp = Mcp(door.base, token, tls=door.tls)
        self.mcp.http.headers["User-Agent"] = user_agent

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.mcp.http.aclose()

    async def call(self, method: str, /, **params: object) -> Answer:
        """The result of a method, as MCP tells it. Raises Refused."""
        if method == "resources/read":
            uri = params.pop("uri")
            meta = {f"io.erlmcp/{name}": value for name, value in params.items()}
            response = await self.mcp.send("resources/read", {"uri": uri}, **meta)
        else:
            response = await self.mcp.send("tools/call", {"name": TOOLS[method], "arguments": params})
        said = response.json()
        if "code" in said:
            # HTTP's own words, of a node or of the gateway
            raise Refused(said["code"], response.status_code, said)
        if "error" in said:
            raise Refused(said["error"]["data"]["code"], said["error"]["code"], said["error"]["data"])
        result = said["result"]
        if result.get("isError"):
            data = orjson.loads("{" + result["content"][0]["text"].partition("{")[2])
            raise Refused(data["code"], 0, data)
        return Answer(result=result.get("structuredContent", result), headers=response.headers)
