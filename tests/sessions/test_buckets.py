"""A bucket never gives more than it holds and what has come in since, and never less."""

from hypothesis import given
from hypothesis import strategies as st

from erlmcp_site.environment import Rate
from sessions_app.buckets import Bucket, Buckets

rates = st.builds(Rate, amount=st.integers(1, 10_000), seconds=st.integers(1, 86_400))
steps = st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 50)), max_size=60)


@given(rate=rates, steps=steps)
def test_in_any_time_no_more_comes_out_than_was_there_and_came_in(rate: Rate, steps: list[tuple[float, int]]) -> None:
    now = 0.0
    bucket = Bucket(rate, now)
    taken: list[tuple[float, int]] = []
    for pause, cost in steps:
        now += pause
        cost = min(cost, rate.amount)
        if not bucket.take(rate, cost, now):
            taken.append((now, cost))
    for index, (since, _) in enumerate(taken):
        total = sum(cost for _, cost in taken[index:])
        came = (taken[-1][0] - since) * rate.amount / rate.seconds
        assert total <= rate.amount + came + 0.01


@given(rate=rates, steps=steps)
def test_what_was_refused_is_given_after_the_time_told_and_not_much_sooner(
    rate: Rate, steps: list[tuple[float, int]]
) -> None:
    now = 1000.0
    bucket = Bucket(rate, now)
    for pause, cost in steps:
        now += pause
        cost = min(cost, rate.amount)
        wait = bucket.take(rate, cost, now)
        if wait:
            early = max(now, now + wait - 0.01 - 0.001 * rate.seconds / rate.amount)
            assert early == now or bucket.take(rate, cost, early) > 0
            now += wait
            assert bucket.take(rate, cost, now) == 0


@given(rate=rates, moments=st.lists(st.floats(0, 10), max_size=60))
def test_a_clock_that_goes_back_gives_nothing_twice(rate: Rate, moments: list[float]) -> None:
    bucket = Bucket(rate, 0.0)
    taken = sum(not bucket.take(rate, 1, moment) for moment in moments)
    assert taken <= rate.amount + max(moments, default=0) * rate.amount / rate.seconds + 0.01


@given(rate=rates, given=st.integers(1, 20_000))
def test_what_is_put_back_never_makes_more_than_a_full_bucket(rate: Rate, given: int) -> None:
    bucket = Bucket(rate, 0.0)
    bucket.take(rate, 1, 0.0)
    bucket.give(rate, given)
    assert bucket.tokens <= rate.amount


def test_a_flood_of_addresses_takes_bounded_memory() -> None:
    buckets, rate = Buckets(size=100), Rate(1, 60)
    for number in range(1000):
        buckets.of(number, rate, 0.0)
    assert len(buckets) == 100


@given(rate=rates, steps=steps)
def test_looking_at_a_bucket_tells_what_taking_would_and_takes_nothing(
    rate: Rate, steps: list[tuple[float, int]]
) -> None:
    now = 1000.0
    bucket = Bucket(rate, now)
    for pause, cost in steps:
        now += pause
        cost = min(cost, rate.amount)
        told = bucket.wait(rate, cost, now)
        assert bucket.wait(rate, cost, now) == told
        assert (bucket.take(rate, cost, now) > 0) == (told > 0)
