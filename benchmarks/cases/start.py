"""From the command to the first request that is served, on all cores, with the demo: what `make run` feels like."""

from benchmarks.figures import Figure
from benchmarks.peers import servers
from benchmarks.run import Run
from benchmarks.server import erlmcp

CASE = "start to ready"


def start(run: Run) -> None:
    """The first start (migrations, keys, users, demo) and the next."""
    folder = run.fresh_folder("start")
    for which in ("first start", "next start"):
        with erlmcp(folder, variables={"DEMO": "1"}, core=None) as server:
            run.add(Figure(case=CASE, server=f"erlmcp, SQLite, {which}", also={"s": server.start_seconds}))
    with servers.drf(run.fresh_folder("drf"), run.databases.fresh(), rows=1, pool=False) as peer:
        run.add(Figure(case=CASE, server="DRF, uvicorn, migrated before", also={"s": peer.start_seconds}))
