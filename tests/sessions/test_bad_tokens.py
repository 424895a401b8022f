"""Bad tokens by the thousand cost little: whoever has sent too many is refused before the next one is verified."""

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.environment import Rate
from erlmcp_site.pipeline.messages import Reply
from sessions_app.accounts import ChangeAccount
from sessions_app.actions.tokens import revoke
from sessions_app.authentication import tokens
from sessions_app.limits import limits
from sessions_app.tokens import AccessToken
from tests.pipeline.calls import ask, code
from tests.sessions.conftest import entry, pair_of
from tests.stack.waiting import eventually

LIMIT = 3
HERE, THERE = "192.0.2.66", "192.0.2.77"


@pytest.fixture(autouse=True)
def low(running: dict[str, User]) -> Iterator[None]:
    limits.forget()
    with override_settings(RATE_LIMIT_ADDRESS=Rate(amount=LIMIT, seconds=86_400)):
        yield
    limits.forget()


async def listed(token: str, address: str = HERE) -> Reply:
    return await ask("sessions/list", {}, token, source_ip=address)


async def flood(*bad: str) -> list[str | None]:
    """The codes of the answers to bad tokens, one after the other."""
    return [code(await listed(token)) for token in bad]


def forged(number: int) -> str:
    """A token that differs from a good one in its last characters alone, so that only its signature tells."""
    good = AccessToken.issue("1", "family", "id")
    return f"{good[:-6]}{number:06d}"


async def test_beyond_the_limit_a_token_is_refused_without_being_verified() -> None:
    good = (await pair_of("alice")).access
    bad = await in_database(lambda: [forged(number) for number in range(LIMIT + 20)])
    assert await flood(*bad) == ["unauthenticated"] * LIMIT + ["rate_limited"] * 20
    # had it been verified, it would have been let in
    refused = await listed(good)
    assert code(refused) == "rate_limited"
    assert refused.refusal is not None and (refused.refusal.retry_after or 0) > 0
    assert code(await listed(good, THERE)) is None


@pytest.mark.parametrize("bad", ["nonsense", "a.b.c", f"erlk_{'0' * 8}-0000-7000-8000-{'0' * 12}_{'x' * 43}"])
async def test_whatever_a_token_looks_like_it_counts(bad: str) -> None:
    assert await flood(*[bad] * (LIMIT + 2)) == ["unauthenticated"] * LIMIT + ["rate_limited"] * 2


async def test_who_is_known_goes_on_while_somebody_at_the_same_address_sends_bad_tokens() -> None:
    good = (await pair_of("alice")).access
    assert code(await listed(good)) is None
    await flood(*["nonsense"] * (LIMIT + 2))
    for _ in range(5):
        assert code(await listed(good)) is None


async def test_a_token_that_was_good_is_verified_again_for_whoever_is_at_its_address(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    assert code(await listed(pair.access)) is None
    await flood(*["nonsense"] * (LIMIT + 2))
    await changed(running["alice"])
    assert code(await listed(pair.access)) is None
    await revoke(pair.refresh, entry)
    assert [code(await listed(pair.access)) for _ in range(3)] == ["rate_limited"] * 3


async def test_a_token_that_is_good_no_more_counts_like_any_bad_one() -> None:
    pair = await pair_of("alice")
    assert code(await listed(pair.access)) is None
    await revoke(pair.refresh, entry)
    assert await flood(*[pair.access] * (LIMIT + 2)) == ["unauthenticated"] * LIMIT + ["rate_limited"] * 2


async def test_new_good_tokens_cost_an_address_nothing() -> None:
    fresh = [(await pair_of("alice")).access for _ in range(10 * LIMIT)]
    replies = await asyncio.gather(*map(listed, fresh))
    assert {code(reply) for reply in replies} == {None}


async def changed(user: User) -> None:
    """Every node hears that something about a user has changed."""
    drops = tokens.drops
    await writer.submit(ChangeAccount(write=user.save, entry=entry(), users=[str(user.pk)]))
    await eventually(lambda: tokens.drops > drops, 30, "its tokens are dropped")
