"""What the gateway does itself: TLS, HTTP/2, limits, who the client is, what is nobody's business."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import grpc
import httpx
import pytest

from tests.stack.answers import Refused, refused_by_http
from tests.stack.gateway import KINDS, Gateway, Kind, gateway
from tests.stack.messages import request_of, rpc_of
from tests.stack.stand_in import StandIn
from tests.stack.waiting import eventually, wait_until

WITHIN = 30
STRICT = {
    "GATEWAY_MAX_BODY_BYTES": "1000",
    "GATEWAY_REQUESTS_PER_SECOND": "5",
    "GATEWAY_CONNECTIONS_PER_ADDRESS": "3",
    "GATEWAY_HEAD_TIMEOUT": "1s",
    "GATEWAY_OPERATORS": "192.0.2.0/24",
}


@pytest.fixture(scope="module")
def node() -> Iterator[StandIn]:
    with StandIn("node") as node:
        yield node


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def edge(kind: Kind, node: StandIn) -> Iterator[Gateway]:
    """A gateway as it is by default, but for its addresses. Both nodes are one."""
    with gateway(kind, [node, node]) as edge:
        yield edge


@pytest.fixture(scope="module")
def strict(kind: Kind, node: StandIn) -> Iterator[Gateway]:
    """A gateway with narrow limits."""
    with gateway(kind, [node, node], **STRICT) as edge:
        yield edge


@contextlib.asynccontextmanager
async def client(edge: Gateway, address: str = "127.0.0.1", *, http2: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway at an address of this machine; limits count what each address does."""
    transport = httpx.AsyncHTTPTransport(verify=edge.tls, http2=http2, local_address=address, trust_env=False)
    async with httpx.AsyncClient(base_url=edge.base, transport=transport, timeout=60) as http:
        yield http


def refusal_in(answer: httpx.Response) -> Refused:
    return refused_by_http(answer.status_code, answer.headers["content-type"], answer.json(), answer.headers)


def connected(edge: Gateway, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A TLS connection."""
    plain = socket.create_connection(("127.0.0.1", edge.port), timeout=60)
    return (context or edge.tls).wrap_socket(plain, server_hostname="127.0.0.1")


def all_that_is_said(edge: Gateway, sent: bytes) -> bytes:
    """What comes back for some bytes until the gateway closes the connection, perhaps before it has them all."""
    said = b""
    with connected(edge) as tls, contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        tls.sendall(sent)
        while data := tls.recv(65536):
            said += data
    return said


def test_the_program_finds_nothing_wrong_with_its_configuration(edge: Gateway) -> None:
    told = edge.check()
    assert not re.search(r"warn|alert|emerg", told, re.IGNORECASE), told


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_as_it_is_today(edge: Gateway, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(edge.ca))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connected(edge, context) as tls:
        assert tls.version() == version.name.replace("_", ".")
        assert tls.selected_alpn_protocol() == "h2"
        cipher = tls.cipher()
        assert cipher is not None and re.search("GCM|CHACHA20", cipher[0]), cipher


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_of_yesterday_is_refused(edge: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(edge.ca))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError) as refused:
        connected(edge, context)
    # told so by the other side, not by this one
    assert "ALERT_PROTOCOL_VERSION" in (refused.value.reason or "")


@pytest.mark.parametrize("http2", [False, True])
async def test_http_is_spoken_in_both_versions(edge: Gateway, http2: bool) -> None:
    async with client(edge, http2=http2) as http:
        answer = await http.get("/api/v1/sessions")
    assert (answer.http_version, answer.text) == ("HTTP/2" if http2 else "HTTP/1.1", "node")
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_plain_http_leads_to_tls(edge: Gateway) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{edge.plain_port}/api/v1/resources?prefix=a%2Fb&limit=1")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{edge.base}/api/v1/resources?prefix=a%2Fb&limit=1"


@pytest.mark.parametrize("http2", [False, True])
async def test_who_the_client_is_only_the_gateway_says(edge: Gateway, node: StandIn, http2: bool) -> None:
    forged = {
        **dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Port"), "203.0.113.9"),
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=203.0.113.9",
    }
    node.again()
    async with client(edge, "127.0.0.9", http2=http2) as http:
        await http.get("/api/v1/sessions", headers=forged)
    (asked,) = node.asked
    told = {name: value for name, value in asked.headers.items() if "forwarded" in name or name == "x-real-ip"}
    assert told == {"x-forwarded-for": "127.0.0.9", "x-forwarded-proto": "https"}
    assert asked.headers["host"] == f"127.0.0.1:{edge.port}"


@pytest.mark.parametrize(
    ("told", "is_kept"), [("mine-1", True), ("<script>", False), ("x" * 129, False), (None, False)]
)
async def test_a_request_has_one_id_on_the_whole_way(
    edge: Gateway, node: StandIn, told: str | None, is_kept: bool
) -> None:
    node.again()
    async with client(edge) as http:
        answer = await http.get("/api/v1/sessions", headers={"Request-Id": told} if told else {})
    (asked,) = node.asked
    assert answer.headers.get_list("request-id") == [asked.headers["request-id"]]
    assert (asked.headers["request-id"] == told) == is_kept
    assert asked.headers["request-id"]


async def test_a_path_comes_as_the_client_wrote_it(edge: Gateway, node: StandIn) -> None:
    path = "/api/v1/resources/a.local/x%2Fy/%E2%82%AC?scheme=t%2Bs&raw=1"
    node.again()
    async with client(edge) as http:
        for verb in ("GET", "PUT"):
            await http.request(verb, path)
    assert [asked.path for asked in node.asked] == [path, path]


async def test_a_body_beyond_the_limit_is_too_large(strict: Gateway) -> None:
    async with client(strict, "127.0.0.2") as http:
        assert (await http.put("/api/v1/resources/a/b", content=b"x" * 1000)).status_code == 200
        refused = refusal_in(await http.put("/api/v1/resources/a/b", content=b"x" * 1001))
    assert (refused.code, refused.number) == ("too_large", 413)


async def test_an_address_that_asks_too_often_is_told_when_to_come_back(strict: Gateway) -> None:
    async with client(strict, "127.0.0.3", http2=True) as http:
        refused: list[httpx.Response] = []

        async def flood() -> bool:
            answers = await asyncio.gather(*(http.get("/api/v1/sessions") for _ in range(50)))
            refused.extend(answer for answer in answers if answer.status_code != 200)
            return bool(refused)

        await eventually(flood, WITHIN, "a refusal")
    for answer in refused:
        refusal = refusal_in(answer)
        assert (refusal.code, refusal.number, answer.headers["retry-after"]) == ("rate_limited", 429, "1")
    async with client(strict, "127.0.0.4") as http:
        assert (await http.get("/api/v1/sessions")).status_code == 200


async def test_grpc_is_told_in_its_own_words(strict: Gateway) -> None:
    async with strict.grpc() as http:

        async def is_refused() -> bool:
            call = http.channel.unary_unary(rpc_of("sessions/list"))
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(request_of("sessions/list", {}).SerializeToString(), timeout=WITHIN)
            # there is no node for gRPC here
            trailing = dict(failed.value.trailing_metadata() or ())
            expected = {grpc.StatusCode.RESOURCE_EXHAUSTED: "rate_limited", grpc.StatusCode.UNAVAILABLE: "unavailable"}
            assert (failed.value.code(), trailing["erlmcp-code"]) in expected.items()
            return failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        async def flood() -> bool:
            return any(await asyncio.gather(*(is_refused() for _ in range(50))))

        await eventually(flood, WITHIN, "a refusal")


async def test_an_address_has_only_so_many_connections(strict: Gateway, node: StandIn) -> None:
    node.again()
    node.holds = True
    try:
        async with contextlib.AsyncExitStack() as stack:
            waiting: list[asyncio.Task[httpx.Response]] = []
            for _ in range(3):
                http = await stack.enter_async_context(client(strict, "127.0.0.5"))
                waiting.append(asyncio.create_task(http.get("/api/v1/sessions")))
                await eventually(lambda: len(node.asked) == len(waiting), WITHIN, f"{len(waiting)} that wait")
            http = await stack.enter_async_context(client(strict, "127.0.0.5"))
            # HAProxy counts connections, nginx requests under way
            try:
                assert refusal_in(await http.get("/api/v1/sessions")).code == "rate_limited"
            except httpx.TransportError:
                assert strict.kind == "haproxy"
            node.holds = False
            assert {(await answer).text for answer in waiting} == {"node"}
    finally:
        node.holds = False


@pytest.mark.parametrize("sent", [b"", b"GET /api/v1/sessions HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_head_that_does_not_end_is_cut(strict: Gateway, sent: bytes) -> None:
    said = all_that_is_said(strict, sent)
    assert not said or said.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("length", [10, 900])
def test_a_small_body_that_does_not_end_is_cut(strict: Gateway, node: StandIn, length: int) -> None:
    node.again()
    head = b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n{" % length
    said = all_that_is_said(strict, head)
    assert not said or (said.startswith(b"HTTP/1.1 408 ") and b'"code":"deadline_exceeded"' in said)
    assert node.asked == []


def test_what_is_no_http_is_refused(edge: Gateway) -> None:
    said = all_that_is_said(edge, b"NONSENSE\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")
    assert edge.kind == "haproxy" or b'"code":"invalid_request"' in said


def test_a_head_that_is_too_large_reaches_no_node(edge: Gateway, node: StandIn) -> None:
    node.again()
    said = all_that_is_said(edge, b"GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n")
    # a system may drop an answer to what it has not read to the end
    assert not said or said.startswith(b"HTTP/1.1 400 ")
    assert node.asked == []


async def test_what_is_for_operators_is_nowhere_for_others(edge: Gateway, strict: Gateway) -> None:
    paths = ["/metrics", "/health/ready", "/admin/", "/admin/login/?next=/", "/%61dmin/", "/metric%73"]
    for number, path in enumerate(paths, 1):
        async with client(edge) as http:
            assert (await http.get(path)).text == "node"
        async with client(strict, f"127.0.1.{number}") as http:
            assert refusal_in(await http.get(path)).code == "method_not_found", path


async def test_how_the_gateway_does_is_told_on_a_port_of_its_own(edge: Gateway) -> None:
    path = {"haproxy": "/metrics", "nginx": "/status"}[edge.kind]
    async with httpx.AsyncClient(trust_env=False) as http:
        told = (await http.get(f"http://127.0.0.1:{edge.status_port}{path}")).text
    assert ("haproxy_server_status" if edge.kind == "haproxy" else "Active connections") in told


async def test_a_new_certificate_is_shown_after_a_reload(kind: Kind, node: StandIn) -> None:
    node.again()
    with gateway(kind, [node, node]) as edge:
        before = ssl.get_server_certificate(("127.0.0.1", edge.port), ca_certs=str(edge.ca), timeout=60)

        def is_renewed() -> bool:
            shown = ssl.get_server_certificate(("127.0.0.1", edge.port), ca_certs=str(edge.ca), timeout=60)
            return shown != before

        async with client(edge) as http:
            node.asked.clear()
            node.holds = True
            try:
                under_way = asyncio.create_task(http.get("/api/v1/sessions"))
                await eventually(lambda: bool(node.asked), WITHIN, "a request under way")
                edge.renew_certificate()
                edge.reload()
                await asyncio.to_thread(wait_until, is_renewed, WITHIN, "the new certificate")
            finally:
                node.holds = False
            assert (await under_way).text == "node"
