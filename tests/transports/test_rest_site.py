"""Addresses, paths and pages of the whole application."""

import re
from typing import Any

import orjson
import pytest
import yaml

from tests.transports.http_server import API, Site

SWAGGER = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


PATHS = {
    "host/a%252Fb": "resource_not_found",
    "host/caf%C3%A9": "resource_not_found",
    "host/%2e%2e/a": "invalid_uri",
    "host/a/%2E%2E": "invalid_uri",
    "host/a%00b": "invalid_uri",
    "host/a%0Ab": "invalid_uri",
    "host/a%zz": "invalid_uri",
    "me@host/a": "invalid_uri",
    "/a": "invalid_uri",
    "host/": "invalid_uri",
    "host": "invalid_uri",
    "host?scheme=test": "resource_not_found",
    "host/?scheme=test": "invalid_uri",
    "host/a?scheme=a:b": "invalid_uri",
    "host/a?scheme=": "invalid_uri",
    "host/a?raw=maybe": "invalid_params",
}


async def test_a_path_is_taken_as_it_was_written(site: Site) -> None:
    await site.write("host/a%2fb", 1)
    assert (await site.ask("GET", "resources/host/a%2Fb")).json()["uri"] == "resource://host/a%2Fb"
    assert (await site.ask("GET", "resources/host/a/b")).status_code == 404
    told = {path: (await site.ask("GET", f"resources/{path}")).json()["code"] for path in PATHS}
    assert told == PATHS


async def test_a_new_resource_can_be_read_where_its_location_says(site: Site) -> None:
    for uri in (
        *("resource://host/a%20b/c", "test://Host:81/x", "resource://host/caf\u00e9"),
        *("test://static-text", "test://batch", "test://[::1]"),
    ):
        created = await site.ask("POST", "resources", json={"uri": uri, "content": 1})
        assert created.status_code == 201, created.text
        location = created.headers["location"].removeprefix(f"{API}/")
        read = await site.ask("GET", location)
        assert (read.status_code, read.json()["uri"]) == (200, created.json()["uri"])


async def test_raw_content_cannot_reach_out_of_its_answer(site: Site) -> None:
    body = {"text": "<script>", "mime_type": 'text/html; x="a b"'}
    written = await site.ask("PUT", "resources/host/page", json=body)
    raw = await site.ask("GET", "resources/host/page?raw=1")
    assert (written.status_code, raw.text) == (201, "<script>")
    assert raw.headers["content-type"] == 'text/html; x="a b"; charset=utf-8'
    assert "sandbox" in raw.headers["content-security-policy"]
    same = await site.ask("GET", "resources/host/page?raw=1", {"If-None-Match": raw.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


CHANGES: dict[str, dict[str, Any] | None] = {"PUT": {"content": {}}, "PATCH": {"a": 1}, "DELETE": None}


async def test_a_star_changes_what_is_there_and_nothing_else(site: Site) -> None:
    for verb, body in CHANGES.items():
        missing = await site.ask(verb, "resources/host/none", {"If-Match": "*"}, json=body)
        assert (missing.status_code, missing.json()["code"]) == (412, "version_conflict"), verb
    await site.write("host/a", {})
    for verb, body in CHANGES.items():
        there = await site.ask(verb, "resources/host/a", {"If-Match": "*"}, json=body)
        assert there.status_code == 200, verb
    new = await site.ask("PUT", "resources/host/a", {"If-None-Match": "*"}, json={"content": 1})
    again = await site.ask("PUT", "resources/host/a", {"If-None-Match": "*"}, json={"content": 1})
    assert (new.status_code, again.status_code, again.json()["code"]) == (201, 412, "already_exists")


async def test_a_star_under_a_key_is_one_change(site: Site) -> None:
    await site.write("host/a", {})
    options = {"If-Match": "*", "Idempotency-Key": "k1"}
    first, again = [await site.ask("PUT", "resources/host/a", options, json={"content": 1}) for _ in range(2)]
    assert (first.headers["etag"], again.headers["etag"]) == ('"2"', '"2"')
    assert again.headers["idempotent-replayed"] == "true" and first.content == again.content


async def test_a_base_is_said_once(site: Site) -> None:
    await site.write("host/a", 1)
    both = await site.ask("PUT", "resources/host/a", {"If-Match": '"1"'}, json={"content": 2, "base_version": 3})
    assert (both.status_code, both.json()["code"]) == (400, "invalid_params")


async def test_every_path_of_the_description_is_there_and_lists_what_it_answers(site: Site) -> None:
    schema = (await site.http.get(f"{API}/schema")).json()
    assert schema["openapi"].startswith("3.1")
    for path, operations in schema["paths"].items():
        target = path.replace("{authority}", "host").replace("{path}", "a").replace("{", "").replace("}", "")
        allowed = (await site.http.options(target)).headers["allow"].lower().split(", ")
        assert set(operations) == set(allowed) - {"head", "options"}, path
        for operation in operations.values():
            assert "400" in operation["responses"]
            assert ("401" in operation["responses"]) == ("security" in operation or "/auth/" in path)


async def test_the_interface_is_described_without_the_network(site: Site) -> None:
    docs = await site.http.get(f"{API}/docs")
    assert docs.status_code == 200
    assert SWAGGER in docs.text
    assert "//cdn" not in docs.text
    assert (await site.http.get(SWAGGER)).status_code == 200
    described = yaml.safe_load((await site.http.get(f"{API}/asyncapi.yaml")).text)
    assert (described["asyncapi"], set(described["channels"])) == ("3.0.0", {"socket", "stream"})


async def test_the_first_page_says_where_things_are_and_loads_nothing(site: Site) -> None:
    page = await site.http.get("/")
    assert page.status_code == 200
    assert (await site.http.get("/static/erlmcp_site/console.css")).status_code == 200
    for address in (f"{API}/docs", f"{API}/asyncapi.yaml", "/ws/v1", "/admin/", "/health/ready", "/metrics"):
        assert address in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text


@pytest.mark.parametrize(
    ("port", "is_behind_tls", "told"), [(5051, False, ":5051"), (5051, True, ""), (None, False, None)]
)
async def test_the_first_page_says_where_grpc_is_answered(
    site: Site, settings: Any, port: int | None, is_behind_tls: bool, told: str | None
) -> None:
    settings.GRPC_PORT, settings.PRODUCTION = port, is_behind_tls
    text = (await site.http.get("/", headers={"Host": "localhost"})).text
    shown = re.findall(r"<strong>gRPC</strong> <code>(.*?)</code>", text)
    assert shown == ([] if told is None else [f"localhost{told}"])


@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
async def test_operators_find_health_metrics_and_keys(site: Site) -> None:
    assert (await site.http.get("/health/live")).json()["status"] == "ok"
    ready = await site.http.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok"), ready.text
    assert ready.headers["Cache-Control"] == "no-store"
    checks = ready.json()["checks"]
    assert set(checks) == {"serving", "database", "log", "writer", "audit", "ring", "disk"}
    assert all(set(check) == {"status", "detail", "milliseconds"} for check in checks.values())
    assert (await site.http.get("/health/startup")).json() == {"status": "ok"}
    await site.write("host/a", 1)
    metrics = await site.http.get("/metrics")
    assert 'erlmcp_requests_total{method="resources/write",outcome="success",transport="rest"}' in metrics.text
    (key,) = (await site.http.get("/.well-known/jwks.json")).json()["keys"]
    assert (key["kty"], "d" in key) == ("RSA", False)


async def test_a_large_body_leaves_the_connection_usable(site: Site) -> None:
    big = await site.ask("PUT", "resources/host/big", json={"text": "x" * 3_000_000})
    assert (big.status_code, big.json()["code"]) == (413, "too_large")
    full = await site.ask("PUT", "resources/host/full", json={"text": "x" * (1024 * 1024)})
    assert full.status_code == 201
    over = await site.ask("PUT", "resources/host/over", json={"text": "x" * (1024 * 1024 + 1)})
    assert (over.status_code, over.json()["code"]) == (413, "too_large")


async def test_a_document_is_json_all_the_way(site: Site) -> None:
    content = {"text": "caf\u00e9 \u2028", "number": 1.5, "none": None, "list": [True, {}]}
    await site.write("host/a", content)
    read = await site.ask("GET", "resources/host/a")
    assert orjson.loads(read.content)["content"] == content
    assert read.headers["content-type"] == "application/json"
