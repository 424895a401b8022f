"""A storm: a crowd that was cut comes back at once and is replayed what it missed, and what live followers notice."""

from concurrent.futures import ThreadPoolExecutor

from benchmarks import content
from benchmarks.cases.crowd import hold
from benchmarks.cases.fanout import PIPELINED, SOCKET, SUBSCRIBE, SUBSCRIBED
from benchmarks.figures import Figure
from benchmarks.load import LoadFailed, Measured, Publishing, followers
from benchmarks.run import Run
from benchmarks.server import Server

MISSED = 100
LIVE, RATE = 100, 100
LONG_MISSED = 1_000


def storm(run: Run) -> None:
    """Followers that come back at once: what it costs; and the latency of live ones beside a longer replay."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            _come_back(run, server, store)
        with run.erlmcp(store) as server:
            _beside(run, server, store)


def _come_back(run: Run, server: Server, store: str) -> None:
    count = 2_000 // run.scale
    token = server.login()
    hello = _missing(server, token, MISSED)
    before, spent = server.metric("erlmcp_replay_loads_total"), server.cpu_seconds()
    measured = hold(server, token, count, idle=run.seconds, hello=hello, at_once=count)
    spent = server.cpu_seconds() - spent
    _prove_all(measured, count * MISSED)
    run.add(
        Figure(
            case=f"{count:,} come back at once, {MISSED} missed",
            server=f"erlmcp, {store}",
            also={
                "s to have all": measured["ready_s"],
                "CPU ms a follower": 1000 * spent / count,
                "reads of the log": server.metric("erlmcp_replay_loads_total") - before,
            },
            note=measured.client_note,
        )
    )


def _beside(run: Run, server: Server, store: str) -> None:
    """Live followers of one URI, alone; then while others are replayed the changes of another one."""
    count = 1_000 // run.scale
    token = server.login()
    hello = _missing(server, token, LONG_MISSED)
    publishing = Publishing(
        template=PIPELINED.template, websocket=PIPELINED.websocket, rate=RATE, seconds=2 * run.seconds
    )
    with ThreadPoolExecutor(1) as beside:
        for way in ("alone", f"beside {count:,} × {LONG_MISSED:,} replayed"):
            replaying = None
            if way != "alone":
                replaying = beside.submit(hold, server, token, count, idle=run.seconds, hello=hello, at_once=count)
            live = followers(
                port=server.port,
                path=SOCKET,
                count=LIVE,
                watched=server.watched,
                token=token,
                hello=SUBSCRIBE,
                expect=SUBSCRIBED,
                publishing=publishing,
            )
            if replaying is not None:
                _prove_all(replaying.result(), count * LONG_MISSED)
            run.add(
                Figure(
                    case=f"{LIVE} live followers, {RATE}/s",
                    server=f"erlmcp, {store}, {way}",
                    p50_ms=live["p50_ms"],
                    p99_ms=live["p99_ms"],
                    also={"to the socket p99 ≤": server.socket_lag_ms(0.99)},
                    note=live.client_note,
                    cpu=live.cpu,
                )
            )


def _missing(server: Server, token: str, count: int) -> str:
    """Make so many changes of the resource 1; returns what a follower says that has missed them all."""
    server.fill([0, 1], token)
    path = f"/api/v1/resources/{content.AUTHORITY}/{content.path(1)}"
    before = server.ask("GET", path, token=token)["offset"]
    # in batches: one by one, a thousand changes take longer than everything that is measured here
    server.rewrite(1, count, token)
    return SUBSCRIBE.replace("%c", "1").replace('"params":{', f'"params":{{"from":{before},')


def _prove_all(measured: Measured, events: int) -> None:
    if measured["events"] != events:
        raise LoadFailed(f"{measured['events']} events were replayed, not {events}")
