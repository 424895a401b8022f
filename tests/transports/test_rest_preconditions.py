"""Conditional requests on versions (RFC 9110 §13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import InvalidParams
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest.preconditions import (
    asks_any_version,
    base_version,
    etag,
    has_version,
    must_be_new,
)


def incoming(name: str, value: str | None) -> Incoming:
    headers = [] if value is None else [(name.encode(), value.encode())]
    return Incoming({"method": "GET", "path": "/", "query_string": b"", "headers": headers})


@given(st.integers(1, 10**18 - 1))
def test_an_etag_comes_back_as_its_version(version: int) -> None:
    assert base_version(incoming("if-match", etag(version))) == version
    assert has_version(incoming("if-none-match", etag(version)), version)
    assert not has_version(incoming("if-none-match", etag(version)), version + 1)


@pytest.mark.parametrize("value", ['"1", "7"', 'W/"7"', "*", ' "7" ', '"x" , W/"7"'])
def test_a_version_that_the_client_has(value: str) -> None:
    assert has_version(incoming("if-none-match", value), 7)


@pytest.mark.parametrize("value", [None, "", '"77"', "7", '"7', 'W/"8"', '"*"'])
def test_a_version_that_the_client_has_not(value: str | None) -> None:
    assert not has_version(incoming("if-none-match", value), 7)


@pytest.mark.parametrize("value", ["7", '"seven"', 'W/"7"', '"1", "2"', '""', '"-1"', '"9999999999999999999"', '"٧"'])
def test_an_if_match_that_names_no_version_is_refused(value: str) -> None:
    with pytest.raises(InvalidParams):
        base_version(incoming("if-match", value))


def test_without_headers_nothing_is_asked() -> None:
    nothing = incoming("x", None)
    assert (base_version(nothing), must_be_new(nothing), asks_any_version(nothing)) == (None, False, False)


def test_a_star_asks_for_anything_or_nothing() -> None:
    assert asks_any_version(incoming("if-match", " * "))
    assert must_be_new(incoming("if-none-match", "*"))
    with pytest.raises(InvalidParams):
        must_be_new(incoming("if-none-match", '"1"'))
