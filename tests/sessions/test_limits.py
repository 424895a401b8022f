"""Limits hold in their window, for each caller and address alone."""

import pytest
from django.test import override_settings

from erlmcp_site.environment import Rate
from sessions_app.errors import RateLimited, Unauthenticated
from sessions_app.limits import count_address, count_caller, login_attempt


@override_settings(RATE_LIMIT_CALLER=Rate(amount=3, seconds=3600))
def test_a_caller_is_refused_beyond_the_limit_and_told_when_to_come_back() -> None:
    for _ in range(3):
        count_caller("first")
    with pytest.raises(RateLimited) as refused:
        count_caller("first")
    assert 1 <= (refused.value.retry_after or 0) <= 3600
    count_caller("second")


@override_settings(RATE_LIMIT_ADDRESS=Rate(amount=1, seconds=3600))
def test_an_address_has_a_limit_of_its_own() -> None:
    count_address("192.0.2.1")
    with pytest.raises(RateLimited):
        count_address("192.0.2.1")
    count_address("192.0.2.2")


@override_settings(RATE_LIMIT_LOGIN=Rate(amount=2, seconds=3600))
def test_only_failed_logins_count() -> None:
    for _ in range(5):
        with login_attempt("192.0.2.3"):
            pass
    for _ in range(2):
        with pytest.raises(Unauthenticated), login_attempt("192.0.2.3"):
            raise Unauthenticated()
    with pytest.raises(RateLimited), login_attempt("192.0.2.3"):
        pass


@override_settings(RATE_LIMIT_LOGIN=Rate(amount=2, seconds=3600))
def test_parallel_attempts_do_not_get_around_the_limit() -> None:
    attempt = login_attempt
    with attempt("192.0.2.4"), attempt("192.0.2.4"), pytest.raises(RateLimited), attempt("192.0.2.4"):
        pass
    with login_attempt("192.0.2.4"):
        pass
