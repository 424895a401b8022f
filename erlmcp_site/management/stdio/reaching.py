"""How the bridge reaches the server: whatever goes wrong on the way is an answer that a client of MCP understands."""

import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final

import anyio
import httpx2
import orjson

log = logging.getLogger(__name__)

UNAVAILABLE: Final = -32053
REFUSED: Final = -32001
AGAIN_SECONDS: Final = 1.0
TIMEOUT: Final = httpx2.Timeout(10, read=60)
"""In seconds. A server that says nothing for a minute has gone: it pings its streams more often."""


class Bearer(httpx2.Auth):
    """The token as it is at each request: a file may be given a new one."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        try:
            token = self._token()
        except OSError as error:
            log.warning("there is no token: %s", error)
            token = ""
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        yield request


class Reaching(httpx2.AsyncBaseTransport):
    """Turns failures of the network, and refusals in HTTP's own words, into errors of JSON-RPC.

    A GET, which takes a stream up again, is tried until the server is back; a stream that breaks is one that has ended.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        while True:
            try:
                response = await self._inner.handle_async_request(request)
            except httpx2.TransportError as error:
                log.warning("%s %s: %s", request.method, request.url, error or type(error).__name__)
                if request.method == "GET":
                    await anyio.sleep(AGAIN_SECONDS)
                    continue
                about = f"The server does not answer: {error or type(error).__name__}"
                return _error(503, UNAVAILABLE, about, {"code": "unavailable", "category": "retryable"})
            response.stream = Ending(response.stream)
            return await _told(request, response) if response.status_code >= 400 else response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Ending(httpx2.AsyncByteStream):
    """A body that ends where the connection breaks."""

    def __init__(self, body: Any) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                yield chunk
        except httpx2.TransportError as error:
            log.warning("the stream broke: %s", error or type(error).__name__)

    async def aclose(self) -> None:
        await self._body.aclose()


async def _told(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """The same refusal as an error of JSON-RPC, if it is not one already."""
    body = await response.aread()
    await response.aclose()
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if isinstance(said, dict) and "jsonrpc" in said:
        return httpx2.Response(response.status_code, headers={"content-type": "application/json"}, content=body)
    problem = said if isinstance(said, dict) else {}
    about = str(problem.get("detail") or f"The server answers {response.status_code} {response.reason_phrase}.")
    log.warning("%s %s: %s %s", request.method, request.url, response.status_code, about)
    return _error(response.status_code, REFUSED, about, problem)


def _error(status: int, code: int, about: str, data: dict[str, Any]) -> httpx2.Response:
    error = {"code": code, "message": about, "data": data}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error})
