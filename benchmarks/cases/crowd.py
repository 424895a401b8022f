"""Followers that only listen: what one costs in memory, how many one process holds, how fast they come back."""

from benchmarks import content
from benchmarks.cases.fanout import SOCKET, SUBSCRIBE, SUBSCRIBED
from benchmarks.figures import Figure
from benchmarks.load import LoadFailed, Measured, followers
from benchmarks.peers import servers
from benchmarks.run import POSTGRESQL, Run
from benchmarks.server import Server

MISSED = 20


def idle(run: Run) -> None:
    """Memory of an idle follower, with a thousand and with ten thousand of them."""
    for count in (1_000, 10_000 // run.scale):
        with run.erlmcp(POSTGRESQL) as server:
            token = server.login()
            server.fill([0], token)
            measured = hold(server, token, count, idle=run.seconds)
            run.add(_figure(f"{count:,} idle followers", f"erlmcp, {POSTGRESQL}", measured))
        with servers.broadcast(run.fresh_folder("broadcast")) as peer:
            measured = followers(port=peer.port, path="/c/0", count=count, watched=[peer.watched], idle=run.seconds)
            run.add(_figure(f"{count:,} idle followers", "websockets broadcast", measured))


def reconnect(run: Run) -> None:
    """All followers are cut at once and come back at once, each resuming behind changes that it missed."""
    count = 2_000 // run.scale
    case = f"{count:,} reconnect at once, {MISSED} missed"
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill([0], token)
            path = f"/api/v1/resources/{content.AUTHORITY}/{content.path(0)}"
            before = server.ask("GET", path, token=token)["offset"]
            hold(server, token, count, idle=0.1)
            for number in range(MISSED):
                server.ask("PUT", path, {"content": {"ts": number + 1}}, token)
            resume = SUBSCRIBE.replace('"params":{', f'"params":{{"from":{before},')
            measured = hold(server, token, count, idle=run.seconds, hello=resume, at_once=count)
            if measured["events"] != count * MISSED:
                raise LoadFailed(f"{measured['events']} events were replayed, not {count * MISSED}")
            run.add(_back(case, f"erlmcp, {store}", measured))
    with servers.broadcast(run.fresh_folder("broadcast")) as peer:
        for _ in range(2):
            measured = followers(
                port=peer.port, path="/c/0", count=count, watched=[peer.watched], idle=0.1, at_once=count
            )
        run.add(_back(case, "websockets broadcast, no replay", measured))


def hold(
    server: Server,
    token: str,
    count: int,
    *,
    idle: float,
    hello: str = SUBSCRIBE,
    at_once: int = 128,
) -> Measured:
    """Hold followers, by default of the resource 0 from now on, for so many seconds once all are there."""
    return followers(
        port=server.port,
        path=SOCKET,
        count=count,
        watched=[tree for tree in server.watched if tree.label == "web"],
        token=token,
        hello=hello,
        expect=SUBSCRIBED,
        idle=idle,
        at_once=at_once,
    )


def _figure(case: str, server: str, measured: Measured) -> Figure:
    return Figure(
        case=case,
        server=server,
        also={"s to have all": measured["ready_s"], "KB a follower": measured["rss_per_conn_kb"]},
        note=measured.client_note,
    )


def _back(case: str, server: str, measured: Measured) -> Figure:
    return Figure(case=case, server=server, also={"s to have all": measured["ready_s"]}, note=measured.client_note)
