"""Which pages may open a socket: those of our own origin and the allowed ones, and no other, whatever it looks like."""

from ipaddress import ip_network
from typing import Any

import pytest

from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.transports.websocket import handshake
from sessions_app.errors import Forbidden, Unauthenticated

TOKEN = (b"authorization", b"Bearer abc")


def scope(*headers: tuple[bytes, bytes], host: bytes = b"localhost:8000", **fields: Any) -> dict[str, Any]:
    return {"scheme": "ws", "client": ("127.0.0.1", 1), "headers": [(b"host", host), *headers], **fields}


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "api.example.com"]
    settings.ALLOWED_ORIGINS = ["https://app.example.com", "http://dev.example.com:3000"]


@pytest.mark.parametrize(
    "origin",
    [
        b"http://localhost:8000",
        b"http://LOCALHOST:8000",
        b"https://app.example.com",
        b"https://app.example.com:443",
        b"http://dev.example.com:3000",
    ],
)
def test_our_own_origin_and_allowed_ones_may_connect(origin: bytes) -> None:
    opening = handshake.read(scope((b"origin", origin)))
    assert opening.token is None


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"http://evil.example.com",
        b"https://localhost:8000",
        b"http://localhost",
        b"http://localhost:8001",
        b"http://localhost:8000.evil.example.com",
        b"http://localhost.evil.example.com:8000",
        b"http://evil.example.com/http://localhost:8000",
        b"http://localhost:8000/",
        b"http://user@localhost:8000",
        b"https://xapp.example.com",
        b"https://app.example.com.evil.com",
        b"http://app.example.com",
        b"https://sub.app.example.com",
        b"file://localhost:8000",
        b"http://[::1",
        b"http://localhost:99999",
    ],
)
@pytest.mark.parametrize("headers", [(), (TOKEN,)])
def test_other_origins_may_not_also_with_a_token(origin: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(Forbidden):
        handshake.read(scope((b"origin", origin), *headers))


def test_two_origins_are_none() -> None:
    with pytest.raises(Forbidden):
        handshake.read(scope((b"origin", b"http://localhost:8000"), (b"origin", b"http://localhost:8000"), TOKEN))


def test_without_an_origin_a_token_is_needed() -> None:
    assert handshake.read(scope(TOKEN)).token == "abc"
    for headers in ((), ((b"cookie", b"sessionid=1"),), ((b"authorization", b"Basic YTpi"),)):
        with pytest.raises(Unauthenticated):
            handshake.read(scope(*headers))


def test_a_token_in_the_query_is_none() -> None:
    with pytest.raises(Unauthenticated):
        handshake.read(scope(query_string=b"token=abc&access_token=abc"))


def test_a_host_that_is_not_ours_is_refused_so_that_names_cannot_be_rebound() -> None:
    with pytest.raises(InvalidRequest):
        handshake.read(scope((b"origin", b"http://evil.example.com"), TOKEN, host=b"evil.example.com"))


def test_behind_a_trusted_proxy_our_origin_has_the_scheme_that_the_proxy_saw(settings: Any) -> None:
    headers = ((b"origin", b"https://api.example.com"), (b"x-forwarded-proto", b"https"))
    with pytest.raises(Forbidden):
        handshake.read(scope(*headers, host=b"api.example.com"))
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1/32")]
    assert handshake.read(scope(*headers, host=b"api.example.com")).client.source_ip == "127.0.0.1"


def test_over_tls_our_origin_is_https() -> None:
    handshake.read(scope((b"origin", b"https://api.example.com"), host=b"api.example.com", scheme="wss"))
    with pytest.raises(Forbidden):
        handshake.read(scope((b"origin", b"http://api.example.com"), host=b"api.example.com", scheme="wss"))


def test_our_subprotocol_is_chosen_when_it_is_offered() -> None:
    assert handshake.read(scope(TOKEN, subprotocols=["other", "erlmcp.v1"])).subprotocol == "erlmcp.v1"
    assert handshake.read(scope(TOKEN, subprotocols=["other"])).subprotocol is None
    assert handshake.read(scope(TOKEN)).subprotocol is None


def test_the_client_is_what_its_headers_say() -> None:
    opening = handshake.read(scope(TOKEN, (b"session-id", b"s1"), (b"client-id", b"c1"), (b"user-agent", b"test/1")))
    assert (opening.client.session_id, opening.client.client_id, opening.client.user_agent) == ("s1", "c1", "test/1")
    assert opening.client.source_ip == "127.0.0.1"
