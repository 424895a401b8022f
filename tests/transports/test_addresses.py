"""X-Forwarded-For is believed of trusted proxies, and of nobody else."""

from ipaddress import ip_network

import pytest
from pytest_django import Settings

from erlmcp_site.transports.addresses import client_behind, is_trusted, scheme_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["6.6.6.6, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7:1234"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::1]:1234"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["198.51.100.7"], "198.51.100.7"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy(peer: str, forwarded: list[str], client: str) -> None:
    assert client_behind(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert client_behind("10.0.0.1", ["198.51.100.7"], []) == "10.0.0.1"
    assert not is_trusted("10.0.0.1", [])


def test_only_the_last_entries_of_a_long_header_are_looked_at() -> None:
    assert client_behind("10.0.0.1", [",".join(["10.0.0.9"] * 100_000)], PROXIES) == "10.0.0.9"
    assert client_behind("10.0.0.1", ["198.51.100.7," + ",".join(["10.0.0.9"] * 40)], PROXIES) == "10.0.0.9"


@pytest.mark.parametrize(
    ("peer", "told", "scheme"),
    [
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["http, https"], "https"),
        ("10.0.0.1", ["https", "http"], "http"),
        ("10.0.0.1", ["ftp"], "http"),
        ("10.0.0.1", [], "http"),
        ("192.0.2.1", ["https"], "http"),
        (None, ["https"], "http"),
    ],
)
def test_the_scheme_is_what_the_nearest_trusted_proxy_says(
    settings: Settings, peer: str | None, told: list[str], scheme: str
) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    headers = [(b"x-forwarded-proto", value.encode()) for value in told]
    client = None if peer is None else (peer, 1)
    assert scheme_of({"scheme": "http", "client": client, "headers": headers}) == scheme


def test_our_own_tls_is_https_whatever_is_claimed(settings: Settings) -> None:
    claim = [(b"x-forwarded-proto", b"http")]
    for own in ("https", "wss"):
        assert scheme_of({"scheme": own, "client": ("192.0.2.1", 1), "headers": claim}) == "https"
