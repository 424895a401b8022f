"""Limits hold for each caller, address and class alone, in one process."""

import asyncio

import pytest
from django.test import override_settings

from erlmcp_site.environment import Rate
from sessions_app.errors import RateLimited, Unauthenticated
from sessions_app.limits import MethodClass, attempt_of_address, count_address, count_caller, limits, network_of


@pytest.fixture(autouse=True)
def full() -> None:
    limits.forget()


@override_settings(RATE_LIMIT_CALLER=Rate(amount=3, seconds=3600))
async def test_a_caller_is_refused_beyond_the_limit_and_told_when_to_come_back() -> None:
    for left in (2, 1, 0):
        (quota,) = await count_caller("first")
        assert quota.remaining == left
    with pytest.raises(RateLimited) as refused:
        await count_caller("first")
    assert 1 <= (refused.value.retry_after or 0) <= 1200
    assert refused.value.policy == "caller"
    assert refused.value.quotas[0].remaining == 0
    await count_caller("second")


@override_settings(RATE_LIMIT_ADDRESS=Rate(amount=1, seconds=3600))
async def test_an_address_has_a_limit_of_its_own() -> None:
    await count_address("192.0.2.1")
    with pytest.raises(RateLimited):
        await count_address("192.0.2.1")
    await count_address("192.0.2.2")


@override_settings(RATE_LIMIT_ADDRESS=Rate(amount=1, seconds=3600))
async def test_whoever_has_a_whole_ipv6_network_is_one_address() -> None:
    await count_address("2001:db8::1")
    with pytest.raises(RateLimited):
        await count_address("2001:db8::ffff:2")
    await count_address("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_addresses_belong_to_somebody(address: str, whose: str) -> None:
    assert network_of(address) == whose


@override_settings(RATE_LIMIT_CALLER=Rate(amount=5, seconds=3600))
async def test_a_batch_costs_what_it_asks_for_and_more_than_a_full_bucket_costs_the_whole() -> None:
    (quota,) = await count_caller("batches", MethodClass.CHANGES, 3)
    assert quota.remaining == 2
    with pytest.raises(RateLimited):
        await count_caller("batches", MethodClass.CHANGES, 3)
    (quota,) = await count_caller("large batches", MethodClass.CHANGES, 100)
    assert quota.remaining == 0


@override_settings(
    RATE_LIMIT_CALLER=Rate(amount=3, seconds=3600), RATE_LIMIT_CLASSES={"changes": Rate(amount=1, seconds=3600)}
)
async def test_a_class_has_a_limit_of_its_own_within_that_of_the_caller() -> None:
    of_class, of_caller = await count_caller("classes", MethodClass.CHANGES)
    assert (of_class.limit, of_class.remaining, of_caller.limit, of_caller.remaining) == ("changes", 0, "caller", 2)
    with pytest.raises(RateLimited) as refused:
        await count_caller("classes", MethodClass.CHANGES)
    assert refused.value.policy == "changes"
    (quota,) = await count_caller("classes", MethodClass.READS)
    assert quota.remaining == 1


@override_settings(
    RATE_LIMIT_CALLER=Rate(amount=1, seconds=3600), RATE_LIMIT_CLASSES={"changes": Rate(amount=2, seconds=3600)}
)
async def test_what_the_caller_has_no_tokens_for_costs_the_class_none() -> None:
    await count_caller("both", MethodClass.CHANGES)
    for _ in range(3):
        with pytest.raises(RateLimited) as refused:
            await count_caller("both", MethodClass.CHANGES)
        assert refused.value.policy == "caller"


@override_settings(RATE_LIMIT_CALLER=Rate(amount=5, seconds=1))
async def test_asking_again_after_the_time_told_succeeds() -> None:
    with pytest.raises(RateLimited) as refused:
        for _ in range(1000):
            await count_caller("patient")
    await asyncio.sleep(refused.value.retry_after or 0)
    await count_caller("patient")


@override_settings(RATE_LIMIT_LOGIN=Rate(amount=2, seconds=3600))
async def test_only_failed_logins_count() -> None:
    for _ in range(5):
        async with attempt_of_address("192.0.2.3"):
            pass
    with pytest.raises(ValueError, match="ours"):
        async with attempt_of_address("192.0.2.3"):
            raise ValueError("ours")
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            async with attempt_of_address("192.0.2.3"):
                raise Unauthenticated()
    with pytest.raises(RateLimited):
        async with attempt_of_address("192.0.2.3"):
            pass


@override_settings(RATE_LIMIT_LOGIN=Rate(amount=2, seconds=3600))
async def test_parallel_attempts_do_not_get_around_the_limit() -> None:
    attempt = attempt_of_address
    async with attempt("192.0.2.4"), attempt("192.0.2.4"):
        with pytest.raises(RateLimited):
            async with attempt("192.0.2.4"):
                pass
    async with attempt("192.0.2.4"):
        pass
