"""Who may come in at `/mcp`, and what the others are told (design page mcp.md, R8)."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from erlmcp_site.environment import Rate, env_resource
from sessions_app.permissions import ALL
from tests.mcp.door.asking import Answered, ask, message, post, token_of
from tests.pipeline.calls import ask as ask_pipeline
from tests.pipeline.calls import body
from tests.sessions.outside_issuer import OutsideIssuer, outside_issuer, trust

CANONICAL = "http://localhost/mcp"
METADATA = "http://localhost/.well-known/oauth-protected-resource/mcp"
BEGINNING = "resources:read resources:subscribe"
URI = "resource://example.com/a"
APP = "https://app.example.com"


@pytest.fixture
def issuer() -> Iterator[OutsideIssuer]:
    with outside_issuer() as made:
        yield made


def discover() -> dict[str, Any]:
    return message("server/discover")


def challenge(answer: Answered) -> dict[str, str]:
    """What WWW-Authenticate says."""
    kind, _, told = answer.headers["www-authenticate"].partition(" ")
    assert kind == "Bearer"
    pairs = dict(pair.split("=", 1) for pair in told.split(", "))
    return {name: value.strip('"') for name, value in pairs.items()}


async def test_without_a_token_a_client_is_told_where_to_get_one(running: dict[str, User]) -> None:
    for lines in ([], [("Authorization", "Basic YTpi")], [("Authorization", "Bearer ")], [("Cookie", "token=x")]):
        answer = await post(discover(), None, extra=lines)
        assert answer.status == 401
        assert challenge(answer) == {"resource_metadata": METADATA, "scope": BEGINNING}
    assert (await ask("GET", "/mcp")).status == 401


async def test_a_token_that_is_not_good_is_called_invalid(token: str) -> None:
    bad = [token[:-4], f"{token}x", "a.b.c", "x", "erlk_00000000-0000-0000-0000-000000000000_x", "a" * 100_000]
    for text in bad:
        answer = await post(discover(), text)
        assert answer.status == 401
        assert challenge(answer) == {"error": "invalid_token", "resource_metadata": METADATA, "scope": BEGINNING}
        assert answer.said["code"] == "unauthenticated"


async def test_a_token_is_never_taken_from_the_query_or_the_body(token: str) -> None:
    for query in (f"access_token={token}", f"token={token}", f"authorization=Bearer%20{token}"):
        assert (await post(discover(), None, query=query)).status == 401
    told = discover()
    told["params"] |= {"access_token": token}
    assert (await post(told, None)).status == 401


async def test_what_has_ended_ends_here_too(token: str) -> None:
    pair = body(await ask_pipeline("auth/login", {"username": "alice", "password": "correct horse"}))
    assert (await post(discover(), pair["access"])).status == 200
    body(await ask_pipeline("auth/revoke", {"refresh": pair["refresh"]}))
    assert (await post(discover(), pair["access"])).status == 401
    assert (await post(discover(), token)).status == 200


async def test_an_api_key_is_as_good_as_a_token(token: str) -> None:
    made = body(await ask_pipeline("keys/create", {"label": "agent", "scope": "resources:read"}, token))
    assert (await post(discover(), made["key"])).status == 200
    answer = await post(message("tools/call", {"name": "resource_create", "arguments": {"uri": URI}}), made["key"])
    assert (answer.status, challenge(answer)["error"]) == (403, "insufficient_scope")


async def test_a_token_whose_scopes_lack_something_is_told_all_that_is_needed(running: dict[str, User]) -> None:
    reads, manages = await token_of("alice", "resources:read"), await token_of("alice", "audit:read")
    body(await ask_pipeline("resources/create", {"uri": URI, "content": 1}, await token_of("alice")))
    change = {"uri": URI, "content": 2}
    for token, asked, scope in (
        (
            reads,
            message("tools/call", {"name": "resource_update", "arguments": change}),
            "resources:read resources:write",
        ),
        (
            reads,
            message("tools/call", {"name": "resource_delete", "arguments": {"uri": URI}}),
            "resources:delete resources:read",
        ),
        (manages, message("tools/call", {"name": "resource_history", "arguments": {"uri": URI}}), "resources:read"),
        (manages, message("resources/read", {"uri": URI}), "resources:read"),
    ):
        answer = await post(asked, token)
        assert answer.status == 403
        told = {"error": "insufficient_scope", "scope": scope, "resource_metadata": METADATA}
        assert challenge(answer) == told
        assert answer.said["code"] == "forbidden"
    assert (await post(message("resources/read", {"uri": URI}), reads)).status == 200


async def test_what_the_user_may_not_no_scope_would_give(running: dict[str, User]) -> None:
    body(await ask_pipeline("resources/create", {"uri": URI, "content": 1}, await token_of("alice")))
    change = message("tools/call", {"name": "resource_update", "arguments": {"uri": URI, "content": 2}})
    for token in (await token_of("bob"), await token_of("bob", "resources:read"), await token_of("bob", "audit:read")):
        answer = await post(change, token)
        assert (answer.status, answer.said["result"]["isError"]) == (200, True)
    for token in (await token_of("new"), await token_of("new", "audit:read")):
        answer = await post(message("resources/read", {"uri": URI}), token)
        assert (answer.status, answer.code) == (400, -32602)
        assert "www-authenticate" not in answer.headers


async def test_a_token_of_an_outside_issuer_has_to_be_for_this_service(
    issuer: OutsideIssuer, running: dict[str, User], settings: Settings
) -> None:
    trust(settings, issuer)
    here, api, both = issuer.token(aud=CANONICAL), issuer.token(jti="2"), issuer.token(aud=["erlmcp", CANONICAL])
    for token, mcp, rest in ((here, 200, 401), (api, 401, 200), (both, 200, 200), (here, 200, 401)):
        own = [("Authorization", f"Bearer {token}")]
        assert (await ask("GET", "/api/v1/resources", own)).status == rest
        assert (await post(discover(), token)).status == mcp
        assert (await ask("GET", "/api/v1/resources", own)).status == rest
    for audience in ("http://localhost/", "http://localhost/mcp/", "https://localhost/mcp", "http://other/mcp", ""):
        assert (await post(discover(), issuer.token(aud=audience))).status == 401, audience
    settings.MCP_RESOURCE_URL = "https://hub.example.com/mcp"
    assert (await post(discover(), here)).status == 401
    answer = await post(discover(), issuer.token(aud=settings.MCP_RESOURCE_URL))
    assert answer.status == 200


async def test_metadata_say_who_gives_out_tokens(
    issuer: OutsideIssuer, running: dict[str, User], settings: Settings
) -> None:
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        answer = await ask("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.said == {
            "resource": CANONICAL,
            "authorization_servers": ["http://localhost"],
            "scopes_supported": sorted(ALL),
            "bearer_methods_supported": ["header"],
            "resource_name": "erlmcp",
        }
        assert (await ask("POST", path)).status == 405
    trust(settings, issuer)
    settings.MCP_RESOURCE_URL = "https://hub.example.com/mcp"
    told = (await ask("GET", "/.well-known/oauth-protected-resource/mcp")).said
    assert (told["resource"], told["authorization_servers"]) == (settings.MCP_RESOURCE_URL, [issuer.name])
    refused = challenge(await post(discover(), None))
    assert refused["resource_metadata"] == "https://hub.example.com/.well-known/oauth-protected-resource/mcp"


async def test_behind_a_trusted_proxy_it_is_called_as_the_client_calls_it(token: str, settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    forwarded = [("X-Forwarded-Proto", "https")]
    assert challenge(await post(discover(), None, extra=forwarded))["resource_metadata"].startswith("http://")
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    answer = await post(discover(), None, extra=forwarded)
    assert challenge(answer)["resource_metadata"].startswith("https://localhost/")
    assert answer.headers["strict-transport-security"] == "max-age=60; includeSubDomains"
    own_page = {"Origin": "https://localhost"}
    assert (await post(discover(), token, own_page, extra=forwarded)).status == 200
    assert (await post(discover(), token, {"Origin": "http://localhost"}, extra=forwarded)).status == 403


async def test_only_pages_of_ours_and_names_of_ours_come_in(token: str, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = [APP]
    for origin, status in {
        "http://localhost": 200,
        APP: 200,
        "http://localhost:8000": 403,
        "https://localhost": 403,
        "http://evil.example": 403,
        f"{APP}.evil.example": 403,
        "http://localhost.evil.example": 403,
        "null": 403,
        "": 403,
        f"{APP}, http://localhost": 403,
    }.items():
        assert (await post(discover(), token, {"Origin": origin})).status == status, origin
    for host in ("evil.example", "localhost.evil.example", "", "localhost/", "a@localhost", "[::1", 'localhost"', None):
        for verb in ("POST", "GET", "OPTIONS"):
            assert (await ask(verb, "/mcp", [("Authorization", f"Bearer {token}")], host=host)).status == 403, host
    two = await post(discover(), token, extra=[("Host", "evil.example")])
    assert two.status == 403


async def test_a_page_of_an_allowed_origin_may_use_it(token: str, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = [APP]
    wanted = "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id"
    asks = [
        ("Origin", APP),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", f"{wanted}, Mcp-Param-Region, x-other, mcp-param-\xff"),
    ]
    for path in ("/mcp", "/.well-known/oauth-protected-resource/mcp"):
        answer = await ask("OPTIONS", path, asks)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, APP)
        taken = answer.headers["access-control-allow-headers"].split(", ")
        assert {*wanted.split(", "), "mcp-param-region"} <= set(taken)
        assert not {"x-other", "mcp-param-\xff"} & set(taken)
        assert {"GET", "POST", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    for answer in (await post(discover(), token, {"Origin": APP}), await post(discover(), None, {"Origin": APP})):
        assert answer.headers["access-control-allow-origin"] == APP
        told = answer.headers["access-control-expose-headers"].split(", ")
        assert {"mcp-session-id", "www-authenticate"} <= set(told)
        assert "access-control-allow-credentials" not in answer.headers
    assert (await ask("OPTIONS", "/mcp", [("Origin", "https://evil.example"), *asks[1:]])).status == 403


async def test_without_allowed_origins_no_page_of_another_may(token: str) -> None:
    asks = [("Origin", APP), ("Access-Control-Request-Method", "POST")]
    assert (await ask("OPTIONS", "/mcp", asks)).status == 403
    assert (await post(discover(), token, {"Origin": APP})).status == 403


async def test_a_client_beyond_its_limit_is_told_how_long_to_wait(token: str, settings: Settings) -> None:
    settings.RATE_LIMIT_CALLER = Rate(2, 60)
    assert [(await post(discover(), token)).status for _ in range(2)] == [200, 200]
    for asked in (discover(), message("tools/list"), message("no/such"), b"{"):
        answer = await post(asked, token)
        assert answer.code == -32029
        assert answer.said["error"]["data"]["retry_after"] > 0
        assert int(answer.headers["retry-after"]) >= 1
    assert (await post(discover(), await token_of("bob"))).status == 200


async def test_a_flood_without_a_good_token_is_turned_away(token: str, settings: Settings) -> None:
    settings.RATE_LIMIT_ADDRESS = Rate(3, 60)
    for bad in (None, "x"):
        peer = f"192.0.2.{1 if bad else 2}"
        statuses = [(await post(discover(), bad, peer=peer)).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        answer = await post(discover(), bad, peer=peer)
        assert int(answer.headers["retry-after"]) >= 1
    assert (await post(discover(), token, peer="192.0.2.3")).status == 200


async def test_bodies_are_bounded_and_may_trickle(token: str, settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    whole = orjson.dumps(discover())
    lines = [
        ("Authorization", f"Bearer {token}"),
        ("Content-Type", "application/json"),
        ("Accept", "*/*"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "server/discover"),
    ]
    assert (await ask("POST", "/mcp", lines, [whole[at : at + 1] for at in range(len(whole))])).status == 200
    assert (await ask("POST", "/mcp", lines, [b" " * 2049])).status == 413
    assert (await ask("POST", "/mcp", lines, [b" "] * 2049)).status == 413
    assert (await ask("POST", "/mcp", [*lines, ("Content-Length", "9" * 30)], [b""])).status == 413
    unknown = [line for line in lines if line[0] != "Authorization"]
    assert (await ask("POST", "/mcp", unknown, [b" " * 2049])).status == 401


def test_the_canonical_url_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("https://hub.example.com/mcp", "http://localhost:8000/mcp", ""):
        monkeypatch.setenv("MCP_RESOURCE_URL", text)
        assert env_resource("MCP_RESOURCE_URL") == text
    for text in (
        "hub/mcp",
        "ftp://a/mcp",
        "https://a",
        "https://a/",
        "https://a/mcp?x",
        "https://a/mcp#x",
        'https://a/"',
    ):
        monkeypatch.setenv("MCP_RESOURCE_URL", text)
        with pytest.raises(ImproperlyConfigured, match="MCP_RESOURCE_URL"):
            env_resource("MCP_RESOURCE_URL")
