"""What only HTTP has: statuses, headers, preconditions, media types (contract §2, §3, §7)."""

import base64

import pytest

from tests.stack.answers import refused_by_http
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest, path_of

JSON = {"Content-Type": "application/json"}


async def test_creation_answers_201_with_its_place(rest: Rest, tree: str) -> None:
    created = await rest.call("resources/create", uri=f"{tree}a", content=1)
    assert created.status == 201
    assert created.headers["location"].endswith(f"/api/v1/{path_of(f'{tree}a')}")
    assert created.headers["etag"] == '"1"'
    assert (await rest.call("resources/write", uri=f"{tree}a", content=2)).status == 200
    assert (await rest.call("resources/write", uri=f"{tree}b", content=2)).status == 201


async def test_every_answer_bears_its_request_and_its_position(rest: Rest, tree: str) -> None:
    written = await rest.call("resources/write", {"Request-Id": "my-own-id-1"}, uri=f"{tree}a", content=1)
    assert written.headers["request-id"] == "my-own-id-1"
    assert int(written.headers["log-offset"]) == written["offset"]
    read = await rest.call("resources/read", uri=f"{tree}a")
    assert int(read.headers["log-offset"]) >= written["offset"]
    assert read.headers["session-id"] == written.headers["session-id"]
    with refuses("resource_not_found") as refusal:
        await rest.call("resources/read", uri=f"{tree}none")
    assert int(refusal.error.headers["log-offset"]) >= written["offset"]


@pytest.mark.parametrize("forged", ["x" * 300, "a b", "<script>", "ü"])
async def test_a_request_id_that_could_do_harm_is_replaced(rest: Rest, tree: str, forged: str) -> None:
    response = await rest.request("GET", "resources", headers={"Request-Id": forged.encode()})
    assert response.headers["request-id"] not in {"", forged}


async def test_what_has_not_changed_is_not_sent_again(rest: Rest, tree: str) -> None:
    written = await rest.call("resources/write", uri=f"{tree}a", content=1)
    path = path_of(f"{tree}a")
    for matching in (written.headers["etag"], f'"7", {written.headers["etag"]}', "*", f"W/{written.headers['etag']}"):
        same = await rest.request("GET", path, headers={"If-None-Match": matching})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"'), matching
    assert (await rest.request("GET", path, headers={"If-None-Match": '"2"'})).status_code == 200


async def test_if_match_states_the_base(rest: Rest, tree: str) -> None:
    path = path_of(f"{tree}a")
    await rest.call("resources/write", uri=f"{tree}a", content=1, on_conflict="reject")
    good = await rest.request("PUT", path, json={"content": 2}, headers={"If-Match": '"1"'})
    assert (good.status_code, good.headers["etag"]) == (200, '"2"')
    for verb, body in (("PUT", {"content": 3}), ("PATCH", {"a": 1}), ("DELETE", None)):
        stale = await rest.request(verb, path, json=body, headers={"If-Match": '"1"'})
        problem = refused_by_http(stale.status_code, stale.headers["content-type"], stale.json(), stale.headers)
        assert (problem.number, problem.code, problem.data["current_version"]) == (412, "version_conflict", 2), verb
    body_base = await rest.request("PUT", path, json={"content": 3, "base_version": 1})
    assert (body_base.status_code, body_base.json()["code"]) == (409, "version_conflict")


async def test_if_match_on_nothing_is_refused(rest: Rest, tree: str) -> None:
    path = path_of(f"{tree}a")
    for matching in ('"1"', "*"):
        missing = await rest.request("PUT", path, json={"content": 1}, headers={"If-Match": matching})
        assert (missing.status_code, missing.json()["code"]) == (412, "version_conflict"), matching
    assert (await rest.request("GET", path)).status_code == 404


async def test_if_none_match_star_only_creates(rest: Rest, tree: str) -> None:
    path, only_new = path_of(f"{tree}a"), {"If-None-Match": "*"}
    assert (await rest.request("PUT", path, json={"content": 1}, headers=only_new)).status_code == 201
    again = await rest.request("PUT", path, json={"content": 2}, headers=only_new)
    assert again.status_code == 412
    assert (await rest.call("resources/read", uri=f"{tree}a"))["content"] == 1


@pytest.mark.parametrize("matching", ["1", '"one"', 'W/"1"', '"-1"', '"99999999999999999999"'])
async def test_an_if_match_that_no_version_has_changes_nothing(rest: Rest, tree: str, matching: str) -> None:
    await rest.call("resources/write", uri=f"{tree}a", content=1)
    path = path_of(f"{tree}a")
    response = await rest.request("PUT", path, json={"content": 2}, headers={"If-Match": matching})
    assert response.status_code in {400, 412}, response.text
    assert (await rest.call("resources/read", uri=f"{tree}a"))["content"] == 1


async def test_raw_answers_the_content_itself_and_lets_it_do_no_harm(rest: Rest, tree: str) -> None:
    page = "<script>alert(1)</script>"
    await rest.call("resources/write", uri=f"{tree}page", text=page, mime_type="text/html")
    await rest.call("resources/write", uri=f"{tree}json", content={"a": [1]})
    png = base64.b64encode(b"\x89PNG\r\n").decode()
    await rest.call("resources/write", uri=f"{tree}image", blob=png, mime_type="image/png")
    expected = {"page": (page.encode(), "text/html"), "json": (b'{"a":[1]}', "application/json")}
    for name, (content, mime_type) in {**expected, "image": (b"\x89PNG\r\n", "image/png")}.items():
        response = await rest.request("GET", path_of(f"{tree}{name}") + "?raw=1")
        assert (response.content, response.headers["content-type"].split(";")[0]) == (content, mime_type)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in response.headers["content-security-policy"]
        assert response.headers["etag"] == '"1"'


async def test_head_answers_as_get_without_the_body(rest: Rest, tree: str) -> None:
    await rest.call("resources/write", uri=f"{tree}a", content=1)
    head = await rest.request("HEAD", path_of(f"{tree}a"))
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "nothing/here", 404, "method_not_found"),
        ("GET", "sessions/", 404, "method_not_found"),
        ("DELETE", "resources", 405, "method_not_allowed"),
        ("PUT", "auth/login", 405, "method_not_allowed"),
        ("POST", "resources/host/a", 405, "method_not_allowed"),
        ("PROPFIND", "resources", 405, "method_not_allowed"),
    ],
)
async def test_an_address_that_is_not_there_says_so(rest: Rest, verb: str, path: str, status: int, code: str) -> None:
    response = await rest.request(verb, path)
    refused = refused_by_http(response.status_code, response.headers["content-type"], response.json(), response.headers)
    assert (refused.number, refused.code) == (status, code)
    assert status != 405 or response.headers["allow"]


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "parse_error"),
        (b"", "application/json", 400, "parse_error"),
        (b"\xff\xfe", "application/json", 400, "parse_error"),
        (b'{"content": NaN}', "application/json", 400, "parse_error"),
        (b'{"content": "\\ud800"}', "application/json", 400, "parse_error"),
        (b"[1]", "application/json", 400, "invalid_request"),
        (b'"text"', "application/json", 400, "invalid_request"),
        (b"content=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"<a/>", "application/xml", 415, "unsupported_media_type"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    rest: Rest, tree: str, body: bytes, media_type: str, status: int, code: str
) -> None:
    response = await rest.request("PUT", path_of(f"{tree}a"), content=body, headers={"Content-Type": media_type})
    refused = refused_by_http(response.status_code, response.headers["content-type"], response.json(), response.headers)
    assert (refused.number, refused.code) == (status, code)


async def test_a_patch_says_its_type(rest: Rest, tree: str) -> None:
    await rest.call("resources/write", uri=f"{tree}a", content={"a": 1})
    path = path_of(f"{tree}a")
    plain = await rest.request("PATCH", path, content=b'{"b":2}', headers=JSON)
    assert plain.json()["content"] == {"a": 1, "b": 2}
    other = await rest.request("PATCH", path, content=b"a: 1", headers={"Content-Type": "application/yaml"})
    assert other.status_code == 415
    assert "application/merge-patch+json" in other.headers["accept-patch"]


@pytest.mark.parametrize("token", ["-", "nonsense", "a.b.c", "Ü"])
async def test_without_a_good_token_nothing_is_answered(stack: Cluster, token: str) -> None:
    async with stack.rest() as rest:
        headers = {"Authorization": f"Bearer {token}".encode()}
        for path in ("resources", "sessions", "subscriptions", "resources/host/a", "events?subscription=x", "audit"):
            response = await rest.request("GET", path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), path
            assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_in_the_query_is_no_token(stack: Cluster) -> None:
    async with stack.rest() as rest:
        for name in ("token", "access_token", "authorization"):
            response = await rest.request("GET", "resources", params={name: stack.token("alice")})
            assert response.status_code == 401


async def test_a_foreign_host_is_refused(stack: Cluster) -> None:
    async with stack.rest("alice") as rest:
        response = await rest.request("GET", "resources", headers={"Host": "evil.example"})
        assert response.status_code == 400


async def test_a_read_after_a_position_is_at_least_that_new(stack: Cluster, tree: str) -> None:
    """Read-your-writes over nodes: Bob asks one node for what Alice has just been told by another."""
    other = len(stack.nodes) - 1
    async with stack.rest("alice", node=0) as alice, stack.rest("bob", node=other) as bob:
        for n in range(30):
            written = await alice.call("resources/write", uri=f"{tree}a", content=n)
            read = await bob.call("resources/read", {"Read-After": str(written["offset"])}, uri=f"{tree}a")
            assert read["content"] == n
            strong = await bob.call("resources/read", {"Read-Consistency": "strong"}, uri=f"{tree}a")
            assert strong["content"] == n


async def test_a_session_reads_its_own_writes_on_every_node(stack: Cluster, tree: str) -> None:
    other = len(stack.nodes) - 1
    async with stack.rest("alice", node=0) as here, stack.rest("alice", node=other) as there:
        for n in range(30):
            await here.call("resources/write", uri=f"{tree}a", content=n)
            assert (await there.call("resources/read", uri=f"{tree}a"))["content"] == n
