"""Pages of other origins use the API only when ALLOWED_ORIGINS has them, and never with cookies."""

from typing import Any

import pytest
from pytest_django import Settings

from erlmcp_site.transports.http.cors import preflight, sharing_headers
from erlmcp_site.transports.http.incoming import Incoming
from tests.transports.http_server import API, Site

APP = "https://app.example.com"


@pytest.fixture(autouse=True)
def allowed(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = [APP]


def incoming(origin: str | None, path: str = "/api/v1/resources", method: str = "GET", **headers: str) -> Incoming:
    told = {**({} if origin is None else {"origin": origin}), **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
    return Incoming({"method": method, "path": path, "query_string": b"", "headers": pairs})


def named(headers: Any) -> dict[bytes, bytes]:
    return dict(headers)


def test_an_allowed_page_may_read_the_answer_and_our_headers() -> None:
    told = named(sharing_headers(incoming(APP)))
    assert told[b"access-control-allow-origin"] == APP.encode()
    assert {b"etag", b"log-offset", b"request-id", b"retry-after"} <= set(
        told[b"access-control-expose-headers"].split(b", ")
    )
    assert b"access-control-allow-credentials" not in told


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        f"{APP}.evil.example",
        "http://app.example.com",
        "https://x.app.example.com",
    ],
)
def test_any_other_page_may_not_and_caches_know_that_it_depends(origin: str | None) -> None:
    assert sharing_headers(incoming(origin)) == [(b"vary", b"origin")]


def test_what_is_for_operators_is_shared_with_no_page() -> None:
    for path in ("/metrics", "/health/ready"):
        assert sharing_headers(incoming(APP, path)) == []


def test_without_the_setting_nothing_is_shared(settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = []
    assert sharing_headers(incoming(APP)) == []


@pytest.mark.parametrize(("origin", "may"), [(APP, True), ("https://evil.example", False), ("null", False)])
def test_a_page_is_told_beforehand_what_it_may_send(origin: str, may: bool) -> None:
    answer = preflight(incoming(origin, method="OPTIONS", access_control_request_method="PUT"))
    assert answer is not None and answer.status == 204
    told: dict[bytes, bytes] = named(answer.headers)
    assert (b"access-control-allow-methods" in told) is may
    assert b"*" not in b"".join(value for name, value in told.items() if name.startswith(b"access-control"))


def test_other_requests_are_no_preflight() -> None:
    assert preflight(incoming(APP)) is None
    assert preflight(incoming(APP, method="OPTIONS")) is None


async def test_an_allowed_page_reads_writes_and_follows(site: Site) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,if-match"}
    told = await site.http.options(f"{API}/resources/host/a", headers={"Origin": APP, **asked})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (204, APP)
    assert {"authorization", "if-match"} <= set(told.headers["access-control-allow-headers"].split(", "))
    await site.write("host/a", 1)
    for path in ("resources/host/a", "resources/host/none", "resources"):
        answer = await site.ask("GET", path, {"Origin": APP})
        assert answer.headers["access-control-allow-origin"] == APP, path
    assert "access-control-allow-origin" not in (await site.ask("GET", "resources", {"Origin": "null"})).headers
    refused = await site.http.get(f"{API}/resources", headers={"Origin": APP})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)
    token = (await site.log_in("alice"))["access"]
    async with site.stream(token, "resource://host/a", {"Origin": APP}) as stream:
        assert stream.headers["access-control-allow-origin"] == APP


async def test_every_answer_of_the_api_is_locked_when_it_is_opened_as_a_page(site: Site) -> None:
    await site.write("host/a", 1)
    for path, status in {"resources/host/a": 200, "resources/host/none": 404, "nowhere": 404}.items():
        answer = await site.ask("GET", path)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (status, "nosniff")
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert len((await site.ask("GET", "resources/host/a?raw=1")).headers.get_list("content-security-policy")) == 1
