"""A REST client that knows the routes of contract §2."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx
import orjson

from tests.stack.answers import Answer, refused_by_http

PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}

BY_ID: dict[str, tuple[str, str]] = {
    "keys/revoke": ("DELETE", "keys/{id}"),
    "sessions/get": ("GET", "sessions/{session}"),
    "sessions/update": ("PATCH", "sessions/{session}"),
    "sessions/close": ("DELETE", "sessions/{session}"),
    "sessions/suspend": ("POST", "sessions/{session}/suspend"),
    "sessions/resume": ("POST", "sessions/{session}/resume"),
    "subscriptions/get": ("GET", "subscriptions/{subscription}"),
    "subscriptions/delete": ("DELETE", "subscriptions/{subscription}"),
    "access/revoke": ("DELETE", "access/{rule}"),
    "prompts/get": ("POST", "prompts/{name}"),
}
POSTS: dict[str, str] = {
    "auth/login": "auth/login",
    "auth/refresh": "auth/refresh",
    "auth/revoke": "auth/revoke",
    "keys/create": "keys",
    "sessions/create": "sessions",
    "resources/create": "resources",
    "resources/batch": "resources/batch",
    "resources/search": "resources/search",
    "completion/complete": "completion",
    "subscriptions/create": "subscriptions",
    "events/ack": "events/ack",
    "access/grant": "access",
    "telemetry/profile": "telemetry/profile",
}
QUERIES: dict[str, str] = {
    "keys/list": "keys",
    "sessions/list": "sessions",
    "resources/list": "resources",
    "resources/templates": "resource-templates",
    "prompts/list": "prompts",
    "subscriptions/list": "subscriptions",
    "events/poll": "events",
    "access/list": "access",
    "access/explain": "access/explain",
    "audit/list": "audit",
    "audit/verify": "audit/verify",
    "telemetry/snapshot": "telemetry",
}

OPTIONS = {"idempotency_key": "Idempotency-Key", "request_timeout": "Request-Timeout"}


class Rest:
    """One caller over HTTP with kept-alive connections. `base` is the node's URL, `token` the access token.

    Over TLS, `tls` says whom to trust.
    """

    def __init__(
        self,
        base: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.token = token
        own = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.AsyncClient(
            base_url=base,
            headers={**own, **(headers or {})},
            timeout=httpx.Timeout(60),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=4),
            trust_env=False,
            verify=tls or base.startswith("https"),
        )
        self._resources: dict[str, Callable[[dict[str, Any], dict[str, str]], Awaitable[httpx.Response]]] = {
            "resources/read": self._read,
            "resources/history": self._history,
            "resources/diff": self._diff,
            "resources/write": self._write,
            "resources/patch": self._patch,
            "resources/delete": self._delete,
            "resources/restore": self._restore,
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def call(self, method: str, headers: Mapping[str, str] | None = None, /, **params: Any) -> Answer:
        """Call a method of the table by its name; what is an option of the call goes as a header. Raises Refused."""
        return answer_of(await self.send(method, headers, **params))

    async def send(self, method: str, headers: Mapping[str, str] | None = None, /, **params: Any) -> httpx.Response:
        """The same, with whatever comes back, which may not be of a node."""
        options = {header: str(params.pop(name)) for name, header in OPTIONS.items() if name in params}
        return await self._send(method, params, {**options, **(headers or {})})

    async def request(self, verb: str, path: str, **kwargs: Any) -> httpx.Response:
        """Any request below `/api/v1/`; `path` is sent as it stands."""
        return await self.http.request(verb, f"/api/v1/{path}", **kwargs)

    async def _send(self, method: str, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        if method in self._resources:
            return await self._resources[method](params, headers)
        if method in BY_ID:
            verb, path = BY_ID[method]
            name = path.partition("{")[2].partition("}")[0]
            path = path.format(**{name: quote(str(params.pop(name)), safe="")})
            return await self._with_body(
                verb, path, params if verb == "PATCH" or (verb == "POST" and params) else None, headers
            )
        if method in POSTS:
            return await self._with_body("POST", POSTS[method], params, headers)
        return await self.request("GET", QUERIES[method], params=_texts(params), headers=headers)

    async def _read(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return await self._get(params.pop("uri"), params, headers)

    async def _history(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return await self._get(params.pop("uri"), {"history": 1, **params}, headers)

    async def _diff(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        names = {"from": "diff", "to": "version"}
        uri = params.pop("uri")
        return await self._get(uri, {names.get(name, name): value for name, value in params.items()}, headers)

    async def _get(self, uri: str, query: Mapping[str, Any], headers: dict[str, str]) -> httpx.Response:
        path = path_of(uri)
        text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        return await self.request("GET", path + (("&" if "?" in path else "?") + text if text else ""), headers=headers)

    async def _write(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return await self._with_body("PUT", path_of(params.pop("uri")), params, headers)

    async def _patch(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        headers["Content-Type"] = PATCH_TYPES[params.get("patch_type", "merge")]
        return await self._with_body("PATCH", _based(params, headers), params["patch"], headers)

    async def _delete(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return await self.request("DELETE", _based(params, headers), headers=headers)

    async def _restore(self, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return await self.request("POST", _based(params, headers, restore=params["version"]), headers=headers)

    async def _with_body(self, verb: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        if body is None:
            return await self.request(verb, path, headers=headers)
        headers.setdefault("Content-Type", "application/json")
        return await self.request(verb, path, content=orjson.dumps(body), headers=headers)


def path_of(uri: str) -> str:
    """The REST path of a resource, as contract §3 builds it."""
    scheme, _, rest = uri.partition("://")
    return f"resources/{rest}" + ("" if scheme == "resource" else f"?scheme={quote(scheme, safe='')}")


def answer_of(response: httpx.Response) -> Answer:
    """The answer in a response. Raises Refused for a problem, AssertionError for what the contract does not allow."""
    assert response.headers.get("request-id"), f"no Request-Id: {response.status_code} {response.text}"
    if response.status_code >= 400:
        raise refused_by_http(
            response.status_code, response.headers.get("content-type", ""), response.json(), response.headers
        )
    result = orjson.loads(response.content) if response.content else None
    return Answer(result=result, status=response.status_code, headers=response.headers)


def _based(params: Mapping[str, Any], headers: dict[str, str], **query: object) -> str:
    """The path of a change without a representation: what it is based on is a header, its rule is in the query."""
    if "base_version" in params:
        headers["If-Match"] = f'"{params["base_version"]}"'
    if "on_conflict" in params:
        query["on_conflict"] = params["on_conflict"]
    path = path_of(params["uri"])
    return path + ("&" if "?" in path else "?" if query else "") + urlencode(query)


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}
