"""The lean handler and what it reads of a request, without a database."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import orjson
import pytest
from django.urls import path
from pytest_django import Settings

from audit_app.errors import Refusal
from erlmcp_site.transports.http.answers import Answer
from erlmcp_site.transports.http.bodies import DISCARDED_BYTES, document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.lean import LeanHandler
from erlmcp_site.transports.http.views import only_get

LIMIT = 1024


class Told(Answer):
    """An answer that shows what the view was given."""

    def __init__(self, incoming: Incoming, **shown: str) -> None:
        super().__init__(200, [], orjson.dumps({"body": incoming.body.decode(), **shown}))


async def shown(incoming: Incoming, name: str = "") -> Any:
    return Told(incoming, name=name)


async def read(incoming: Incoming) -> Any:
    return Answer(200, [], orjson.dumps(document_of(incoming)))


async def broken(incoming: Incoming) -> Any:
    raise RuntimeError("a secret that only the log may know")


shown.max_body_bytes = LIMIT  # type: ignore[attr-defined]

ROUTES = [
    path("api/shown/<path:name>", shown),
    path("api/read", read),
    path("api/broken", broken),
    path("health/live", only_get(shown)),
]


async def refuse(incoming: Incoming, refusal: Refusal, method: str, transport: str) -> Refusal:
    """Nothing is on record here: these tests have no database."""
    return refusal


async def started() -> None:
    pass


async def ask(
    method: str,
    target: str,
    body: bytes | Iterable[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    handler: Callable[..., Awaitable[None]] | None = None,
    scheme: str = "http",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer of a handler to a request as a server hands it over."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    told = {"host": "localhost:8000", **(headers or {})}
    raw_path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "scheme": scheme,
        "method": method,
        "path": raw_path,
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
        "client": ("127.0.0.1", 50000),
    }
    await (handler or LeanHandler(ROUTES, started, refuse))(scope, receive, send)
    start, *rest = sent
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], answered, b"".join(message["body"] for message in rest)


def code_of(body: bytes) -> str:
    return str(orjson.loads(body)["code"])


async def test_a_view_gets_the_path_as_the_client_wrote_it() -> None:
    _, _, body = await ask("POST", "/api/shown/a%2Fb/%2e%2e/c%00", b"x")
    assert orjson.loads(body) == {"name": "a%2Fb/%2e%2e/c%00", "body": "x"}


async def test_an_address_that_is_not_there_is_a_problem() -> None:
    status, headers, body = await ask("GET", "/api/nothing")
    assert (status, code_of(body), headers["content-type"]) == (404, "method_not_found", "application/problem+json")
    assert headers["request-id"] == orjson.loads(body)["request_id"]
    assert headers["log-offset"].isdigit()


async def test_a_failure_tells_nothing_but_its_request(caplog: pytest.LogCaptureFixture) -> None:
    status, headers, body = await ask("GET", "/api/broken", headers={"Request-Id": "r-7"})
    assert (status, code_of(body), headers["request-id"]) == (500, "internal_error", "r-7")
    assert b"secret" not in body
    assert "r-7" in caplog.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "local host", "localhost,evil"])
async def test_a_foreign_host_is_refused(host: str) -> None:
    status, _, body = await ask("GET", "/api/read", headers={"Host": host})
    assert (status, code_of(body)) == (400, "invalid_request")


async def test_probes_come_by_any_name() -> None:
    status, _, _ = await ask("GET", "/health/live", headers={"Host": "10.0.0.7:8000"})
    assert status == 200


async def test_a_page_takes_get_and_says_so() -> None:
    status, headers, body = await ask("POST", "/health/live", b"{}")
    assert (status, code_of(body), headers["allow"]) == (405, "method_not_allowed", "GET, HEAD, OPTIONS")
    status, headers, body = await ask("OPTIONS", "/health/live")
    assert (status, headers["allow"], body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("verb", ["TRACE", "CONNECT", "PROPFIND", "get"])
async def test_a_verb_that_nothing_here_takes_is_refused(verb: str) -> None:
    status, _, body = await ask(verb, "/health/live", headers={"X-Secret": "canary"})
    assert (status, code_of(body), b"canary" in body) == (405, "method_not_allowed", False)


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    _, got, body = await ask("GET", "/health/live")
    status, headers, nothing = await ask("HEAD", "/health/live")
    assert (status, headers["content-length"], nothing) == (200, got["content-length"], b"")
    assert int(got["content-length"]) == len(body)


async def test_a_body_comes_in_pieces() -> None:
    _, _, body = await ask("POST", "/api/shown/a", [b"one ", b"", b"two"])
    assert orjson.loads(body)["body"] == "one two"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(declared: bool) -> None:
    chunks = [b"x" * 300] * 4
    headers = {"Content-Length": "1200"} if declared else {}
    status, _, body = await ask("POST", "/api/shown/a", chunks, headers)
    assert (status, code_of(body), orjson.loads(body)["limit"]) == (413, "too_large", LIMIT)


async def test_a_body_that_has_no_end_is_not_read_to_its_end() -> None:
    taken = 0

    def endless() -> Iterable[bytes]:
        nonlocal taken
        for _ in range(DISCARDED_BYTES // 2**20 + 100):
            taken += 1
            yield b"x" * 2**20

    chunks = endless()

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": next(iter(chunks)), "more_body": True}

    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"method": "POST", "path": "/api/shown/a", "query_string": b"", "headers": [(b"host", b"localhost")]}
    await asyncio.wait_for(LeanHandler(ROUTES, started, refuse)(scope, receive, send), 10)
    assert sent[0]["status"] == 413
    assert taken <= DISCARDED_BYTES // 2**20 + 1


async def test_a_client_that_leaves_amid_its_body_changes_nothing() -> None:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"method": "POST", "path": "/api/read", "query_string": b"", "headers": [(b"host", b"localhost")]}
    await LeanHandler(ROUTES, started, refuse)(scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "parse_error"),
        (b"", "application/json", 400, "parse_error"),
        (b'{"a":NaN}', "application/json", 400, "parse_error"),
        (b"[]", "application/json", 400, "invalid_request"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/json; charset=utf-16", 415, "unsupported_media_type"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "application/json", 400, "too_deep"),
        (b"[" * 1000 + b"]" * 1000, "application/json", 400, "too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "application/json", 400, "too_deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json", 400, "too_deep"),
    ],
)
async def test_a_body_that_is_not_what_is_needed(body: bytes, media_type: str, status: int, code: str) -> None:
    got, _, answer = await ask("POST", "/api/read", body, {"Content-Type": media_type})
    assert (got, code_of(answer)) == (status, code)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "application/json"),
        (b'{"a":"' + b"[" * 5000 + b'"}', "application/json"),
        (b"{}", "Application/JSON; charset=UTF-8"),
        (b"{}", ""),
    ],
)
async def test_a_body_within_the_limits_is_read(body: bytes, media_type: str) -> None:
    status, _, _ = await ask("POST", "/api/read", body, {"Content-Type": media_type} if media_type else {})
    assert status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x"])
async def test_an_encoded_body_is_refused(encoding: str) -> None:
    """So nothing small can become large."""
    status, _, body = await ask("POST", "/api/read", b"{}", {"Content-Encoding": encoding})
    assert (status, code_of(body)) == (415, "unsupported_media_type")


async def test_over_tls_browsers_are_told_to_stay_there(settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 3600
    for scheme, told in {"https": "max-age=3600; includeSubDomains", "http": None}.items():
        for target in ("/health/live", "/api/nothing"):
            _, headers, _ = await ask("GET", target, scheme=scheme)
            assert headers.get("strict-transport-security") == told


def incoming(headers: list[tuple[bytes, bytes]], query: bytes = b"") -> Incoming:
    return Incoming({"method": "GET", "path": "/api/read", "query_string": query, "headers": headers})


@pytest.mark.parametrize("told", [b"a b", b"x" * 129, b"<script>", b"\xfc", b""])
def test_a_request_id_that_could_do_harm_is_replaced(told: bytes) -> None:
    assert incoming([(b"request-id", told)]).id != told.decode("latin-1")


@pytest.mark.parametrize(
    ("header", "token"),
    [(b"Bearer abc", "abc"), (b"bearer  abc ", "abc"), (b"Basic abc", None), (b"Bearer", None), (b"Bearer ", None)],
)
def test_a_bearer_token_is_found(header: bytes, token: str | None) -> None:
    assert incoming([(b"authorization", header)]).token == token


def test_headers_of_one_name_are_joined() -> None:
    assert incoming([(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]).headers == {"x-a": "1,3", "x-b": "2"}


def test_the_pipeline_is_told_of_headers_but_not_of_credentials() -> None:
    headers = [(b"authorization", b"Bearer abc"), (b"cookie", b"a=b"), (b"read-after", b"7"), (b"session-id", b"s")]
    request = incoming(headers).request("resources/list", {})
    assert request.metadata == {"read-after": "7", "session-id": "s"}
    assert request.credentials is not None
    assert (request.credentials.token, request.session_id, request.transport) == ("abc", "s", "rest")


def test_of_a_query_with_a_million_fields_a_hundred_are_read() -> None:
    query = incoming([], b"a=1&" * 100 + b"b=2&" * 1_000_000).query
    assert query == {"a": "1"}


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    headers = incoming([(b"accept", b" a/b \t"), (b"accept", b"\tc/d "), (b"client-id", b"one two ")]).headers
    assert headers == {"accept": "a/b,c/d", "client-id": "one two"}
