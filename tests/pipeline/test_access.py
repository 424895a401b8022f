"""Rules of access, granted and revoked by methods, decide on what other methods do and show."""

import pytest

from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import body, code

pytestmark = pytest.mark.usefixtures("running")


async def test_a_grant_lets_somebody_in_and_a_revocation_out_again(callers: Callers) -> None:
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    rule = await callers.grant(f"{HERE}/*", "read write")
    assert await callers.code("new", "resources/read", uri=f"{HERE}/a") is None
    assert await callers.code("new", "resources/write", uri=f"{HERE}/a", content=2) is None
    assert await callers.code("new", "resources/delete", uri=f"{HERE}/a") == "forbidden"
    assert await callers.code("new", "resources/read", uri=HERE) == "resource_not_found"
    await callers.revoke(rule)
    assert await callers.code("new", "resources/read", uri=f"{HERE}/a") == "resource_not_found"
    assert await callers.code("root", "access/revoke", rule=rule) == "resource_not_found"


async def test_whoever_may_write_and_not_read_is_told_of_nothing(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "write delete subscribe")
    for uri in (HIDDEN, f"{HERE}/none"):
        for method, params in {"write": {"content": 1}, "delete": {}, "create": {"content": 1}}.items():
            assert await callers.code("new", f"resources/{method}", uri=uri, **params) == "resource_not_found"
        assert await callers.code("new", "subscriptions/create", uri=uri) == "resource_not_found"


async def test_a_denial_for_everyone_holds_for_roles_and_not_for_superusers(callers: Callers) -> None:
    await callers.grant(HIDDEN, "read", "deny", everyone=True)
    for user in ("alice", "bob"):
        hidden = await callers.ask(user, "resources/read", uri=HIDDEN)
        never = await callers.ask(user, "resources/read", uri=f"{HERE}/never")
        assert hidden.refusal is not None and never.refusal is not None
        assert (hidden.refusal.code, hidden.refusal.message) == (never.refusal.code, never.refusal.message)
        assert hidden.refusal.data.keys() == never.refusal.data.keys() == {"uri"}
    assert await callers.code("root", "resources/read", uri=HIDDEN) is None


async def test_a_batch_is_decided_operation_by_operation(callers: Callers) -> None:
    await callers.grant(f"{HERE}/*", "read write")
    await callers.grant(f"{HERE}/b", "write", "deny")
    write, delete = "resources/write", "resources/delete"
    for method, uri, told in (
        (write, f"{HERE}/b", "forbidden"),
        (delete, f"{HERE}/a", "forbidden"),
        (write, HERE, "resource_not_found"),
        (write, "nowhere", "invalid_uri"),
        (write, 7, "invalid_uri"),
    ):
        operations = [(write, f"{HERE}/a"), (method, uri)]
        reply = await callers.ask(
            "new",
            "resources/batch",
            operations=[
                {"method": method, "params": {"uri": uri} | ({"content": 9} if method == write else {})}
                for method, uri in operations
            ],
        )
        assert code(reply) == told
        assert reply.refusal is not None and reply.refusal.data["operation"] == 1
    assert body(await callers.ask("new", "resources/read", uri=f"{HERE}/a"))["version"] == 1


async def test_lists_show_and_count_what_may_be_read(callers: Callers) -> None:
    uris = [f"{HERE}/many/{number:03}" for number in range(30)]
    for uri in uris:
        body(await callers.ask("alice", "resources/write", uri=uri, content=1))
    await callers.grant(f"{HERE}/many/+", "read")
    await callers.grant(f"{HERE}/a", "read")
    for uri in uris[::2]:
        await callers.grant(uri, "read", "deny")
    found: list[str] = []
    sizes, cursor = [], None
    while True:
        params = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        listed = body(await callers.ask("new", "resources/list", **params))
        found += [one["uri"] for one in listed["resources"]]
        sizes.append(len(listed["resources"]))
        cursor = listed["next_cursor"]
        if cursor is None:
            break
    assert found == [f"{HERE}/a", *uris[1::2]]
    assert sizes == [5, 5, 5, 1]
    below = body(await callers.ask("new", "resources/list", prefix=f"{HERE}/many/01"))
    assert [one["uri"] for one in below["resources"]] == uris[11:20:2]
    assert body(await callers.ask("new", "resources/list", prefix=f"{HERE}/hid"))["resources"] == []


async def test_a_page_that_ends_among_hidden_resources_names_none(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erlmcp_site.methods.listing.MAX_HIDDEN", 1)
    monkeypatch.setattr("erlmcp_site.methods.listing.PORTION", 2)
    await callers.grant(f"{HERE}/*", "read")
    await callers.grant(HIDDEN, "read", "deny")
    await callers.grant(f"{HERE}/z", "read", "deny")
    body(await callers.ask("alice", "resources/write", uri=f"{HERE}/z", content=1))
    found, cursors = [], [""]
    while cursors[-1] is not None:
        params = {"limit": 1} | ({"cursor": cursors[-1]} if cursors[-1] else {})
        listed = body(await callers.ask("new", "resources/list", **params))
        found += [one["uri"] for one in listed["resources"]]
        cursors.append(listed["next_cursor"])
    assert found == [f"{HERE}/a", f"{HERE}/b"]
    (sealed,) = {cursor for cursor in cursors if cursor and cursor.startswith("~")}
    for wrong in (sealed[:-4] + "AAAA", "~", "~x"):
        assert await callers.code("new", "resources/list", cursor=wrong) == "invalid_params"
