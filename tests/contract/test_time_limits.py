"""How long a request may take, its caller says; what became of a change that took longer, its key tells."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from uuid_utils import uuid4

from tests.contract.conftest import Client
from tests.contract.test_idempotency import is_replayed
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.waiting import eventually


@contextmanager
def nobody_commits(stack: Cluster) -> Iterator[None]:
    """Somebody else holds the locks that every commit of a change needs."""
    main = stack.truth.main
    if main.is_sqlite:
        with closing(sqlite3.connect(main.url.removeprefix("sqlite:///"), timeout=20, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with main.transaction() as cursor:
        cursor.execute("SELECT head FROM resources_app_loghead FOR UPDATE")
        yield


async def test_a_change_that_cannot_be_made_in_time_is_refused_then_and_made_once_when_asked_again(
    alice: Client, tree: str, stack: Cluster
) -> None:
    uri, key = f"{tree}a", str(uuid4())
    await alice.call("resources/write", uri=uri, content=0)
    with nobody_commits(stack):
        took = []
        for _ in range(3):
            started = time.monotonic()
            with refuses("deadline_exceeded") as refusal:
                await alice.call(
                    "resources/write", uri=uri, content=1, idempotency_key=key, request_timeout=0.4, base_version=1
                )
            took.append(time.monotonic() - started)
            assert refusal.error.number in {504, -32054, 4}
            assert refusal["category"] == "retryable"
            assert refusal["outcome"] in {"unknown", "not_done"}
    # this machine may have stood still during one of them
    assert min(took) > 0.3 and sorted(took)[1] < 3, took
    settled = await alice.call("resources/write", uri=uri, content=1, idempotency_key=key, base_version=1)
    assert settled["version"] == 2
    again = await alice.call("resources/write", uri=uri, content=1, idempotency_key=key, base_version=1)
    assert is_replayed(again) and again["version"] == 2
    assert stack.truth.versions(tree) == {uri: 2}


async def test_what_was_given_up_before_it_began_is_never_done(alice: Client, tree: str, stack: Cluster) -> None:
    with nobody_commits(stack):
        for number in range(5):
            with refuses("deadline_exceeded"):
                await alice.call("resources/write", uri=f"{tree}{number}", content=number, request_timeout=0.2)
    await alice.call("resources/write", uri=f"{tree}last", content=1)
    done = stack.truth.versions(tree)
    # only what its writer had in hand when the lock went may have been done, whole and once
    assert done.pop(f"{tree}last") == 1 and len(done) <= 1 and set(done.values()) <= {1}


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_a_session_that_could_not_be_moved_in_time_is_where_it_was(
    admin: Client, tree: str, stack: Cluster, backend: str
) -> None:
    session = (await admin.call("sessions/create", backend=backend))["id"]
    with nobody_commits(stack):
        with refuses("deadline_exceeded"):
            await admin.call("sessions/suspend", session=session, request_timeout=0.4)
        # by the end of this one, the writer has let go of the one before
        with refuses("deadline_exceeded"):
            await admin.call("resources/write", uri=f"{tree}a", content=1, request_timeout=0.4)

    async def is_active() -> bool:
        return bool((await admin.call("sessions/get", session=session))["state"] == "active")

    await eventually(is_active, 30, "the session is active")
    moved = await admin.call("sessions/suspend", session=session)
    assert moved["state"] == "suspended"


@pytest.mark.parametrize("timeout", ["0", "-1", "601", "soon"])
async def test_a_limit_that_is_none_is_refused(alice: Client, tree: str, timeout: str) -> None:
    with refuses("invalid_params"):
        await alice.call("resources/write", uri=f"{tree}a", content=1, request_timeout=timeout)


async def test_a_generous_limit_changes_nothing(alice: Client, tree: str) -> None:
    for timeout in ("600", "12.5", "30"):
        await alice.call("resources/write", uri=f"{tree}a", content=1, request_timeout=timeout)
