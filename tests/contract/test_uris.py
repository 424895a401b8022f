"""URIs that no resource can have, and paths that try to leave the tree (contract §3)."""

import pytest

from tests.contract.conftest import Client
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest

BAD_URIS = [
    "resource://",
    "resource:///path",
    "resource://host",
    "resource://host/",
    "/just/a/path",
    "resource://user@host/a",
    "resource://user:word@host/a",
    "resource://host/a/../b",
    "resource://host/./a",
    "resource://host/%2e%2e/a",
    "resource://host/%2E./a",
    "resource://host/a%00b",
    "resource://host/a\u0000b",
    "resource://host/a\nb",
    "resource://host/a b",
    "resource://host/a%0d%0ab",
    "resource://host/a%5c..%5cb",
    "resource://host/a?query=1",
    "resource://host/a#fragment",
    "resource://host/a%zz",
    "resource://host/*",
    "resource://host/a/+",
    "resource://host:port/a",
    "1resource://host/a",
    "resource://host/" + "a" * 2048,
]


@pytest.mark.parametrize("uri", BAD_URIS, ids=range(len(BAD_URIS)))
async def test_no_resource_has_such_a_uri(alice: Client, uri: str) -> None:
    with refuses("invalid_uri"):
        await alice.call("resources/create", uri=uri, content=1)


async def test_a_uri_may_be_as_long_as_2048_bytes(alice: Client, tree: str) -> None:
    uri = tree + "a" * (2048 - len(tree))
    await alice.call("resources/write", uri=uri, content=1)
    assert (await alice.call("resources/read", uri=uri))["uri"] == uri


@pytest.mark.parametrize(
    "path",
    [
        "resources/host/a/%2e%2e/b",
        "resources/host/%2E%2E/%2E%2E/etc/passwd",
        "resources/host/a%00b",
        "resources/host/a%0d%0aSet-Cookie:x",
        "resources/host/a%5c..%5cb",
        "resources/user@host/a",
        "resources/user%40host/a",
        "resources//a",
        "resources/host/",
        "resources/host/a%zz",
    ],
)
async def test_a_path_that_is_no_uri_is_refused(stack: Cluster, path: str) -> None:
    """Sent byte for byte, as an attacker does; a client library would tidy the path up."""
    async with stack.rest("alice") as rest:
        for verb in ("GET", "PUT", "DELETE"):
            status, body = await raw_request(rest, verb, path)
            assert status in {400, 404}, (verb, status, body)
            assert b"invalid_uri" in body or (path == "resources//a" and b"method_not_found" in body), body


async def test_an_encoded_slash_is_not_a_slash(stack: Cluster, tree: str) -> None:
    host = tree.removeprefix("resource://")
    async with stack.rest("alice") as rest:
        status, _ = await raw_request(rest, "PUT", f"resources/{host}a%2Fb", b'{"content":1}')
        assert status == 201
        assert stack.truth.versions(tree) == {f"{tree}a%2Fb": 1}
        status, _ = await raw_request(rest, "GET", f"resources/{host}a/b")
        assert status == 404


async def raw_request(rest: Rest, verb: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of a request whose path is sent as it stands."""
    url = rest.http.base_url.copy_with(raw_path=f"/api/v1/{path}".encode())
    response = await rest.http.request(
        verb, url, content=body or b'{"content": 1}', headers={"Content-Type": "application/json"}
    )
    return response.status_code, response.content
