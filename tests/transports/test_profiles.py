"""A profile of the running process, for whoever may and where it is turned on; one at a time, and on record."""

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from audit_app.database import in_database
from erlmcp_site.profiles import Profiles, ProfileUnderWay
from tests.stack.outbox import entries
from tests.stack.waiting import PATIENCE
from tests.transports.http_server import Site


async def asked(site: Site, user: str = "admin", **params: Any) -> tuple[int, Any]:
    response = await site.ask("POST", "telemetry/profile", json=params, user=user)
    return response.status_code, response.json()


@pytest.fixture
def profiling(settings: Settings) -> None:
    """This process may be profiled."""
    settings.PROFILING = True


async def test_it_is_off_unless_it_is_turned_on(site: Site) -> None:
    status, problem = await asked(site, seconds=0.1)
    assert (status, problem["code"]) == (404, "method_not_found")
    assert "PROFILING" in problem["detail"]


@pytest.mark.usefixtures("profiling")
async def test_whoever_is_no_administrator_of_access_gets_none(site: Site) -> None:
    for user in ("alice", "bob"):
        status, problem = await asked(site, user, seconds=0.1)
        assert (status, problem["code"]) == (403, "forbidden")


@pytest.mark.usefixtures("profiling")
@pytest.mark.parametrize(
    "params", [{"seconds": 61}, {"seconds": 0}, {"seconds": "long"}, {"format": "pdf"}, {"pid": 0}]
)
async def test_its_time_and_form_are_bounded(site: Site, params: dict[str, Any]) -> None:
    status, problem = await asked(site, **params)
    assert (status, problem["code"]) == (400, "invalid_params")


@pytest.mark.usefixtures("profiling")
async def test_each_form_tells_where_the_time_went_and_leaves_an_entry(site: Site) -> None:
    async def work() -> None:
        while True:
            busy_for_the_profile()
            # other threads work for the request, and get little of the lock beside a loop that never rests
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    try:
        found = {form: (await asked(site, seconds=0.5, format=form))[1] for form in ("text", "html", "speedscope")}
    finally:
        working.cancel()
    for form, profile in found.items():
        assert (profile["format"], profile["samples"] > 0) == (form, True)
        assert "busy_for_the_profile" in profile["profile"], form
    assert found["html"]["profile"].lstrip().startswith("<!DOCTYPE html>")
    assert orjson.loads(found["speedscope"]["profile"])["profiles"]
    left = [entry for entry in await in_database(entries) if entry["action"] == "telemetry/profile"]
    assert [entry["details"]["format"] for entry in left] == ["text", "html", "speedscope"]
    assert {entry["user"] for entry in left} == {"admin"}


def busy_for_the_profile() -> int:
    return sum(hash(str(number)) for number in range(100_000))


async def test_only_one_is_taken_at_a_time_and_whoever_gives_up_makes_room_for_another() -> None:
    profiles = Profiles()
    first = asyncio.create_task(profiles.take(60, "text"))
    await asyncio.sleep(0)
    with pytest.raises(ProfileUnderWay):
        await profiles.take(0.1, "text")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await profiles.take(0.1, "text"))["samples"] >= 0


async def test_a_process_that_ends_does_not_wait_for_a_profile() -> None:
    profiles = Profiles()
    taking = asyncio.create_task(profiles.take(60, "speedscope"))
    await asyncio.sleep(0)
    await profiles.let_go(0)
    assert (await asyncio.wait_for(taking, PATIENCE))["seconds"] < 60


@pytest.mark.usefixtures("profiling")
async def test_the_command_asks_a_running_process(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*arguments: str) -> str:
        told = io.StringIO()
        words = ("profile", "--url", str(site.http.base_url), "--seconds", "0.3", *arguments)
        await asyncio.to_thread(call_command, *words, stdout=told, stderr=told)
        return told.getvalue()

    monkeypatch.delenv("ERLMCP_TOKEN", raising=False)
    with pytest.raises(CommandError, match="ERLMCP_TOKEN"):
        await run()
    monkeypatch.setenv("ERLMCP_TOKEN", (await site.log_in("bob"))["access"])
    with pytest.raises(CommandError, match="forbidden"):
        await run()
    monkeypatch.setenv("ERLMCP_TOKEN", (await site.log_in("admin"))["access"])
    assert "samples" in await run()
    output = tmp_path / "profile.json"
    await run("--format", "speedscope", "--output", str(output))
    assert orjson.loads(output.read_bytes())["profiles"]
    assert f"process {os.getpid()}," in await run("--pid", str(os.getpid()))
    with pytest.raises(CommandError, match=f"no process 1 answers at .*; these do: {os.getpid()}$"):
        await run("--pid", "1")
    with pytest.raises(CommandError, match="does not answer"):
        await run("--url", "http://127.0.0.1:1")
