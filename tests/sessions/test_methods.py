"""The methods on tokens and sessions through the pipeline: who may, what is on record, what the answers are."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request
from sessions_app.accounts import ChangeAccount
from tests.pipeline.calls import code, entries_of
from tests.sessions.conftest import PASSWORD, entry, pair_of


async def ask(method: str, token: str | None = None, within: str | None = None, **params: Any) -> Reply:
    """The answer to a method; `within` is the id of the session that the request runs in."""
    return await ask_from("192.0.2.1", method, token, within, **params)


async def ask_from(
    address: str, method: str, token: str | None = None, within: str | None = None, **params: Any
) -> Reply:
    """The answer to a method that is asked for at an address."""
    return await pipeline.run(
        Request(
            id=str(uuid7()),
            method=method,
            params=params,
            transport="rest",
            timestamp=time.time(),
            credentials=Credentials(token=token) if token else None,
            session_id=within,
            source_ip=address,
        )
    )


@pytest.fixture
async def tokens(running: dict[str, User]) -> dict[str, str]:
    return {name: (await pair_of(name)).access for name in running}


async def test_a_login_is_on_record_with_its_user(running: dict[str, User]) -> None:
    reply = await ask("auth/login", username="alice", password=PASSWORD)
    assert reply.result.keys() == {"access", "refresh", "expires_in"}
    (found,) = await entries_of(reply)
    assert (found["user"], found["user_id"]) == ("alice", str(running["alice"].pk))
    assert (found["action"], found["outcome"], found["source_ip"]) == ("auth/login", "success", "192.0.2.1")


async def test_a_failed_login_is_on_record_once(running: dict[str, User]) -> None:
    reply = await ask("auth/login", username="alice", password="wrong")
    (found,) = await entries_of(reply)
    assert (found["outcome"], found["code"], found["resource_id"]) == ("refused", "unauthenticated", "alice")


async def test_every_change_of_a_session_is_on_record_once(tokens: dict[str, str]) -> None:
    created = await ask("sessions/create", tokens["alice"], label="mine")
    assert created.created
    id = created.result["id"]
    replies = [
        created,
        await ask("sessions/update", tokens["alice"], session=id, label="ours"),
        await ask("sessions/suspend", tokens["root"], session=id),
        await ask("sessions/resume", tokens["root"], session=id),
        await ask("sessions/close", tokens["alice"], session=id),
    ]
    assert [code(reply) for reply in replies] == [None] * 5
    for reply in replies:
        (found,) = await entries_of(reply)
        assert (found["action"], found["outcome"]) == (reply.method, "success")


async def test_refused_changes_are_on_record_too(tokens: dict[str, str]) -> None:
    id = (await ask("sessions/create", tokens["alice"])).result["id"]
    refused = {
        "resource_not_found": await ask("sessions/close", tokens["bob"], session=id),
        "forbidden": await ask("sessions/suspend", tokens["alice"], session=id),
        "illegal_transition": await ask("sessions/resume", tokens["root"], session=id),
        "invalid_params": await ask("sessions/create", tokens["alice"], metadata={"a": "x" * 17_000}),
    }
    for wanted, reply in refused.items():
        assert code(reply) == wanted
        (found,) = await entries_of(reply)
        assert (found["outcome"], found["code"]) == ("refused", wanted)


async def test_a_suspended_session_cannot_help_itself(tokens: dict[str, str]) -> None:
    id = (await ask("sessions/create", tokens["alice"])).result["id"]
    await ask("sessions/suspend", tokens["root"], session=id)
    for method in ("sessions/get", "sessions/update", "sessions/close"):
        assert code(await ask(method, tokens["alice"], within=id, session=id)) == "forbidden"
    assert code(await ask("sessions/get", tokens["alice"], session=id)) is None


async def test_nobody_works_in_a_foreign_session_not_even_an_admin(tokens: dict[str, str]) -> None:
    id = (await ask("sessions/create", tokens["alice"])).result["id"]
    for name in ("bob", "root"):
        assert code(await ask("sessions/list", tokens[name], within=id)) == "resource_not_found"
    assert (await ask("sessions/get", tokens["root"], session=id)).result["user"] == "alice"


async def test_lists_go_on_where_they_ended(tokens: dict[str, str]) -> None:
    ids = [(await ask("sessions/create", tokens["alice"])).result["id"] for _ in range(4)]
    listed: list[str] = []
    cursor = None
    for _ in range(3):
        page = (await ask("sessions/list", tokens["alice"], limit=2, **{"cursor": cursor} if cursor else {})).result
        listed += [session["id"] for session in page["sessions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert listed[1:] == ids and cursor is None
    assert code(await ask("sessions/list", tokens["alice"], cursor="!")) == "invalid_params"
    assert code(await ask("sessions/list", tokens["alice"], limit=1001)) == "invalid_params"


async def test_a_right_that_is_granted_counts_at_once(tokens: dict[str, str], running: dict[str, User]) -> None:
    def grant() -> None:
        groups = running["new"].groups
        writer.run(
            ChangeAccount(
                write=lambda: groups.set(Group.objects.filter(name="user")),
                users=[str(running["new"].pk)],
                entry=entry(),
            )
        )

    write: dict[str, Any] = {"uri": "resource://a/b", "content": 1}
    assert code(await ask("resources/write", tokens["new"], **write)) == "resource_not_found"
    await in_database(grant)
    assert code(await ask("resources/write", tokens["new"], **write)) is None
