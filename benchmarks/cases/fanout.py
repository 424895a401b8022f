"""Changes to followers over WebSocket: a thousand followers of one URI, or of a hundred; few of a large document.

Latency is from the publisher's send to the follower's receipt, so for ours it includes the request and its commit;
`since time` is from the event's own time, which is when its transaction began.
"""

from collections.abc import Mapping
from dataclasses import replace

from benchmarks import content
from benchmarks.figures import Figure
from benchmarks.load import Measured, Publishing, followers
from benchmarks.peers import servers
from benchmarks.run import POSTGRESQL, Run


def _subscribing(**params: object) -> str:
    message = {"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "URI", **params}}
    return content.template(message).replace("URI", content.uri("%c"))


FOLLOWERS = 1_000
FEW_FOLLOWERS = 100
DOCUMENT_BYTES = 100_000
SOCKET = "/ws/v1"
SUBSCRIBE = _subscribing()
SUBSCRIBE_TO_DELTAS = _subscribing(options={"delta": True}, **{"from": "earliest"})
SUBSCRIBED = '"subscription":'
CHANGE = '{"uri":"' + content.uri("%c") + '","content":%P}'
WRITE = '{"jsonrpc":"2.0","id":%i,"method":"resources/write","params":' + CHANGE + "}"
BATCH = '{"jsonrpc":"2.0","id":%i,"method":"resources/batch","params":{"operations":[%P]}}'
OPERATION = '{"method":"resources/write","params":' + CHANGE + "}"
PATCH = '{"jsonrpc":"2.0","id":%i,"method":"resources/patch","params":{"uri":"URI","patch":{"changed":%P}}}'
IN_A_PATCH = '/changed/ts","value":'

PIPELINED = Publishing(template=WRITE, websocket=SOCKET)
BATCHED = Publishing(template=BATCH, item=OPERATION, each=10, websocket=SOCKET)


def one_uri(run: Run) -> None:
    """A thousand followers of one URI: at 20 and at 1,000 changes a second, and as fast as it goes."""
    slow, fast, full = (
        f"{FOLLOWERS:,} followers, 20/s",
        f"{FOLLOWERS:,} followers, 1,000/s",
        f"{FOLLOWERS:,} followers, full",
    )
    for store in run.stores:
        _ours(run, slow, store, 1, {"pipelined": replace(PIPELINED, rate=20)})
        _ours(
            run,
            fast,
            store,
            1,
            {"pipelined": replace(PIPELINED, rate=1_000), "batches of 10": replace(BATCHED, rate=1_000)},
        )
    _ours(run, full, POSTGRESQL, 1, {"batches of 50": replace(BATCHED, each=50, window=1_000)})
    _peers(run, slow, 1, Publishing(template="%c %P", rate=20), broadcasts=True)
    _peers(run, fast, 1, Publishing(template="%c %P", rate=1_000), broadcasts=False)
    _peers(run, full, 1, Publishing(template="%c %P", window=100), broadcasts=True)


def hundred_uris(run: Run) -> None:
    """A thousand followers spread over a hundred URIs, as fast as it goes."""
    case, channels = f"{FOLLOWERS:,} followers over 100 URIs, full", 100
    for store in run.stores:
        ways = {"pipelined": replace(PIPELINED, window=500), "batches of 50": replace(BATCHED, each=50, window=2_000)}
        _ours(run, case, store, channels, ways)
    _peers(run, case, channels, Publishing(template="%c %P", window=2_000), broadcasts=True)


def large_document(run: Run) -> None:
    """Followers of a large document in which one part changes: told whole, and by deltas on what is replayed first."""
    case = f"{FEW_FOLLOWERS} followers of {DOCUMENT_BYTES // 1000} KB, 20/s"
    change = Publishing(template=PATCH.replace("URI", content.uri(0)), websocket=SOCKET, rate=20, seconds=run.seconds)
    for store in run.stores:
        for way, hello, marker in (("whole", SUBSCRIBE, None), ("deltas", SUBSCRIBE_TO_DELTAS, IN_A_PATCH)):
            with run.erlmcp(store) as server:
                token = server.login()
                body = {"content": content.document(DOCUMENT_BYTES)}
                server.ask("PUT", f"/api/v1/resources/{content.AUTHORITY}/{content.path(0)}", body, token)
                measured = followers(
                    port=server.port,
                    path=SOCKET,
                    count=FEW_FOLLOWERS,
                    watched=server.watched,
                    token=token,
                    hello=hello,
                    expect=SUBSCRIBED,
                    marker=marker,
                    publishing=change,
                )
                also = {"MB": measured["bytes"] / 1e6, "to the socket p99 ≤": server.socket_lag_ms(0.99)}
                run.add(_figure(case, f"erlmcp, {store}, {way}", measured, also))


def _ours(run: Run, case: str, store: str, channels: int, ways: dict[str, Publishing]) -> None:
    for way, publishing in ways.items():
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill(range(channels), token)
            measured = followers(
                port=server.port,
                path=SOCKET,
                count=FOLLOWERS,
                channels=channels,
                watched=server.watched,
                token=token,
                hello=SUBSCRIBE,
                expect=SUBSCRIBED,
                publishing=replace(publishing, seconds=run.seconds),
            )
            lag = {"to the socket p99 ≤": server.socket_lag_ms(0.99)}
            run.add(_figure(case, f"erlmcp, {store}, {way}", measured, lag))


def _peers(run: Run, case: str, channels: int, publishing: Publishing, *, broadcasts: bool) -> None:
    publishing = replace(publishing, seconds=run.seconds)
    for coalesce in (1, 50):
        with servers.floor(run.fresh_folder("floor"), coalesce=coalesce) as peer:
            lines = replace(publishing, template=publishing.template + "\\n", port=peer.publish_port)
            run.add(_figure(case, f"C epoll, ≤ {coalesce} events a write", _followed(peer, channels, lines)))
    if broadcasts:
        with servers.broadcast(run.fresh_folder("broadcast")) as peer:
            messages = replace(publishing, websocket="/publish")
            run.add(_figure(case, "websockets broadcast", _followed(peer, channels, messages)))


def _followed(peer: servers.Peer, channels: int, publishing: Publishing) -> Measured:
    return followers(
        port=peer.port, path="/c/%c", count=FOLLOWERS, channels=channels, watched=[peer.watched], publishing=publishing
    )


def _figure(case: str, server: str, measured: Measured, told: Mapping[str, float] | None = None) -> Figure:
    also = {"events/frame": measured["ev_per_frame"], **(told or {})}
    if "stamp_p50_ms" in measured.report:
        also |= {"since time p50": measured["stamp_p50_ms"], "p99": measured["stamp_p99_ms"]}
    return Figure(
        case=case,
        server=server,
        per_s=measured["events_s"],
        per_cpu_s=measured.per_server_cpu(measured["events"]),
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        also=also,
        note=measured.client_note,
        cpu=measured.cpu,
    )
