"""A client of `subscriptions/listen`, which keeps what it is told."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from tests.stack.mcp_client import Mcp, headers_of
from tests.stack.sse import Stream
from tests.stack.waiting import eventually

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
UPDATED = "notifications/resources/updated"


class NotListening(AssertionError):
    """A request to listen was answered by something else; `response` is that."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(f"{response.status_code}: {response.text}")

    @property
    def error(self) -> Any:
        return self.response.json()["error"]


class Listening(Stream):
    """An open subscription. Whatever came is a message of JSON-RPC, without an id of server-sent events."""

    @property
    def said(self) -> list[Mapping[str, Any]]:
        """Every message."""
        assert all(message.id is None for message in self.messages)
        return [message.data for message in self.messages]

    async def acknowledged(self) -> Any:
        """What is honoured, which is said first."""
        await self.count(1)
        first = self.said[0]
        assert first["method"] == "notifications/subscriptions/acknowledged", first
        return first["params"]["notifications"]

    @property
    def notifications(self) -> list[Mapping[str, Any]]:
        """The notifications behind the first."""
        return [message for message in self.said[1:] if "method" in message]

    @property
    def updates(self) -> list[str]:
        """The URIs that were told of, in order."""
        return [message["params"]["uri"] for message in self.notifications if message["method"] == UPDATED]

    @property
    def offsets(self) -> list[int]:
        """Those of the changes that were told of, in order."""
        return [told["params"]["_meta"]["io.erlmcp/offset"] for told in self.notifications if told["method"] == UPDATED]

    @property
    def lists(self) -> list[str]:
        """The lists that were told of, in order."""
        methods = [message["method"] for message in self.notifications]
        return [method.split("/")[1] for method in methods if method.endswith("/list_changed")]

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The last word, once it is there."""
        return next((message for message in self.said if "result" in message), None)

    def offset_of(self, uri: str) -> int:
        """The offset of the last change of a resource that was told of; 0 when none was."""
        metas = [
            told["params"]["_meta"]
            for told in self.notifications
            if told["method"] == UPDATED and told["params"]["uri"] == uri
        ]
        return max((meta["io.erlmcp/offset"] for meta in metas), default=0)

    async def told_of(self, uri: str, offset: int) -> None:
        """Wait until a change of a resource, or a later one, was told of."""
        await eventually(lambda: self.offset_of(uri) >= offset, 30, f"{offset} of {uri}")

    async def told_of_list(self, name: str, times: int = 1) -> None:
        """Wait until a change of a list was told of so often."""
        await eventually(lambda: self.lists.count(name) >= times, 30, f"{name} {times} times")


@asynccontextmanager
async def listen(
    client: Mcp, uris: Sequence[str] | None = None, /, *, id: Any = None, **asked: Any
) -> AsyncIterator[Listening]:
    """Listen to resources, or whatever else the filter asks for. Raises NotListening."""
    wanted = {**({} if uris is None else {"resourceSubscriptions": list(uris)}), **asked}
    message = client.message("subscriptions/listen", {"notifications": wanted})
    if id is not None:
        message["id"] = id
    request = client.http.build_request("POST", "/mcp", content=orjson.dumps(message), headers=headers_of(message))
    response = await client.http.send(request, stream=True)
    try:
        if response.headers.get("content-type") != "text/event-stream":
            await response.aread()
            raise NotListening(response)
        stream = Listening(response.headers)
        async with stream.reading(response):
            yield stream
    finally:
        await response.aclose()
