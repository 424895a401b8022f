"""A user has a bounded number of durable subscriptions, and is told so clearly."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.timezone import now

from audit_app.database import in_database
from audit_app.writer import Writer
from resources_app.errors import TooManySubscriptions
from resources_app.models import Subscription as Row
from resources_app.subscriptions import Subscribe, Subscription, Unsubscribe
from tests.resources.commands import entry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    settings.SUBSCRIPTIONS_PER_USER = 3


def subscribe(number: int, user: str = "7") -> Subscribe:
    subscription = Subscription(
        id=f"{user}-{number}",
        pattern="resource://host/*",
        user_id=user,
        session_id="",
        client_id="",
        label="",
        events="created",
        options="{}",
        offset=0,
        created_at=now(),
    )
    return Subscribe(subscription=subscription, entry=entry("subscriptions/create"))


async def test_of_many_in_one_batch_as_many_are_made_as_are_allowed_and_the_others_refused() -> None:
    writer = Writer()
    asked = [writer.submit(subscribe(number)) for number in range(10)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    await asyncio.to_thread(writer.close)
    refused = [answer for answer in answers if isinstance(answer, TooManySubscriptions)]
    assert (len(refused), sum(isinstance(answer, Subscription) for answer in answers)) == (7, 3)
    assert {refusal.data["limit"] for refusal in refused} == {3}
    assert await in_database(Row.objects.count) == 3


async def test_of_200_at_once_on_two_nodes_as_many_are_made_as_are_allowed() -> None:
    user = await in_database(User.objects.create_user, "many")
    nodes = [Writer(), Writer()]
    asked = [nodes[number % 2].submit(subscribe(number, str(user.pk))) for number in range(200)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for node in nodes:
        await asyncio.to_thread(node.close)
    assert sum(isinstance(answer, TooManySubscriptions) for answer in answers) == 197
    assert await in_database(Row.objects.count) == 3


async def test_of_10_000_attempts_a_thousand_are_made(settings: Any) -> None:
    settings.SUBSCRIPTIONS_PER_USER = 1000
    writer = Writer()
    counts = {"made": 0, "refused": 0}
    for first in range(0, 10_000, 2500):
        asked = [writer.submit(subscribe(first + number)) for number in range(2500)]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, Subscription | TooManySubscriptions), answer
            counts["made" if isinstance(answer, Subscription) else "refused"] += 1
    await asyncio.to_thread(writer.close)
    assert counts == {"made": 1000, "refused": 9000}
    assert await in_database(Row.objects.count) == 1000


def test_those_of_others_do_not_count_and_a_deleted_one_makes_room() -> None:
    writer = Writer()
    for number in range(3):
        writer.run(subscribe(number))
        writer.run(subscribe(number, "8"))
    with pytest.raises(TooManySubscriptions):
        writer.run(subscribe(3))
    writer.run(Unsubscribe(id="7-0", user_id="7", entry=entry("subscriptions/delete")))
    writer.run(subscribe(4))
    writer.close()
    assert Row.objects.filter(user_id="7").count() == 3
