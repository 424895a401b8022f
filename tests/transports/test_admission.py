"""Crowds that connect at once: turns in order, refusals for those who would wait too long, and spread returns."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from erlmcp_site.environment import Rate
from erlmcp_site.transports import admission as admitting
from erlmcp_site.transports.admission import Admission, admission
from sessions_app.errors import Crowded
from tests.transports.http_server import Site
from tests.transports.websocket_server import Server

CROWD = 20


async def test_turns_come_in_the_order_of_arrival(settings: Any) -> None:
    settings.ADMIT_STREAMS = Rate(200, 1)
    turns, order = Admission(), []

    async def enter(number: int) -> None:
        async with turns.turn():
            order.append(number)

    await asyncio.gather(*map(enter, range(60)))
    assert order == list(range(60))


async def test_who_would_wait_too_long_is_refused_at_once_and_told_when_to_come_back(settings: Any) -> None:
    settings.ADMIT_STREAMS = Rate(1, 60)
    turns = Admission()
    async with turns.turn():
        pass
    with pytest.raises(Crowded) as crowded:
        async with turns.turn():
            raise AssertionError("let in")
    assert crowded.value.code == "unavailable"
    assert crowded.value.retry_after is not None and crowded.value.retry_after > 0


async def test_so_many_are_authenticated_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "AT_ONCE", 2)
    turns, inside, most = Admission(), 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(20)))
    assert (inside, most) == (0, 2)


async def test_who_waits_too_long_for_others_to_be_authenticated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "AT_ONCE", 1)
    monkeypatch.setattr(admitting, "GATE_SECONDS", 0.05)
    turns = Admission()
    async with turns.turn():
        with pytest.raises(Crowded):
            async with turns.turn():
                raise AssertionError("let in")
    async with turns.turn():
        pass


def test_clients_are_told_to_come_back_no_faster_than_they_are_let_in(settings: Any) -> None:
    settings.ADMIT_STREAMS = Rate(500, 1)
    times = [admission.retry_ms(5000) for _ in range(5000)]
    assert min(times) >= 500 and max(times) < 500 + 10_000
    assert max(times) - min(times) > 5_000
    assert all(500 <= admission.retry_ms(1) < 1000 for _ in range(100))


@pytest.mark.django_db(transaction=True)
async def test_a_crowd_of_sockets_is_refused_with_503_and_few_entries_and_open_sockets_go_on(
    server: Server, settings: Any
) -> None:
    token = await server.token()
    settings.ADMIT_STREAMS = Rate(1, 60)
    admission.forget()
    async with server.connect(token) as client:
        for _ in range(CROWD):
            with pytest.raises(InvalidStatus) as denial:
                async with connect(server.url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None):
                    raise AssertionError("let in")
            assert denial.value.response.status_code == 503
            assert int(denial.value.response.headers["Retry-After"]) > 0
            assert b'"code":"unavailable"' in denial.value.response.body
        assert await client.result("ping") == {}

    def refusals() -> int:
        return OutboxEntry.objects.filter(entry__contains='"unavailable"').count()

    assert await in_database(refusals) == 1


async def test_event_streams_take_turns_as_well(site: Site, settings: Any) -> None:
    token = (await site.log_in("alice"))["access"]
    settings.ADMIT_STREAMS = Rate(1, 60)
    admission.forget()
    async with site.stream(token, "resource://host/*") as stream:
        await stream.named("bookmark")
        denied = await site.ask("GET", "events/stream?uri=resource://host/*")
        assert (denied.status_code, denied.json()["code"]) == (503, "unavailable")
        assert int(denied.headers["Retry-After"]) > 0
        await site.write("host/a", 1)
        await stream.count(1)
