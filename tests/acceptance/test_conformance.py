"""What the conformance suite of MCP requires of servers: both eras, real tokens, on one web process and on three."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.mcp.conformance.installation import installed
from tests.mcp.conformance.suite import IN_A_HURRY, Check, Run, alone, requirements, scenarios
from tests.mcp.fixture_app.shim import TOKEN_FILE
from tests.mcp.fixture_app.stored import RESOURCES
from tests.stack.cluster import Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE, eventually

REVISIONS = ("2025-11-25", "2026-07-28")
WORKERS = (1, 3)

NOT_OURS = "tasks-"
"""How the names of scenarios begin of what is optional and not here."""

pytestmark = pytest.mark.timeout(400)


class Asked:
    """A node, and the runs of the suite that are under way on it, one of each revision side by side."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.url = f"{cluster.nodes[0].base}/mcp"
        self.folder = folder
        self._failed: dict[str, list[Check]] = {}
        self.runs = {revision: Run(self.url, folder / revision, requirements(revision)) for revision in REVISIONS}

    def failed(self, revision: str) -> list[Check]:
        """The checks that failed; of a scenario in a hurry, those that fail again when it has the node to itself."""
        if revision not in self._failed:
            self._failed[revision] = self._judged(revision)
        return self._failed[revision]

    def _judged(self, revision: str) -> list[Check]:
        every = {one: run.failed() for one, run in self.runs.items()}
        failed = every[revision]
        for scenario in sorted(IN_A_HURRY & {check.scenario for check in failed}):
            print("at first:", listed(check for check in failed if check.scenario == scenario))  # noqa: T201
            again = Run(self.url, self.folder / f"{revision}-{scenario}", alone(scenario, revision))
            failed = [check for check in failed if check.scenario != scenario] + again.failed()
        return failed


def listed(checks: Iterable[Check]) -> str:
    """The checks, one a line."""
    return "".join(f"{check}\n" for check in checks)


@pytest.fixture(scope="module", params=WORKERS, ids=["one web process", "three web processes"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    installed()
    folder = tmp_path_factory.mktemp("conformance")
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.mcp.fixture_app.settings",
        TOKEN_FILE: str(folder / "token"),
        "WEB_WORKERS": str(request.param),
    }
    if request.param == 1:
        context = running("sqlite", environment=environment)
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        redis: RedisServer = request.getfixturevalue("redis")
        context = running("postgres+redis", postgres=postgres, redis=redis, environment=environment)
    with context as cluster:
        token = cluster.token("admin")
        (folder / "token").write_text(token)
        with httpx.Client(base_url=cluster.nodes[0].base, headers={"Authorization": f"Bearer {token}"}) as http:
            for resource in RESOURCES:
                stored = http.post("/api/v1/resources", json=resource, timeout=60)
                assert stored.status_code == 201, stored.text
        asked = Asked(cluster, folder)
        yield asked
        for run in asked.runs.values():
            run.stop()


@pytest.mark.parametrize("revision", REVISIONS)
def test_everything_that_a_revision_requires_is_there(asked: Asked, revision: str):
    failed = asked.failed(revision)
    run = asked.runs[revision]
    print(f"{revision}: {run.seconds:.1f} s")  # noqa: T201
    required = scenarios(revision)
    assert not (wrong := [check for check in failed if check.scenario in required]), listed(wrong)
    assert required - run.ran() == set(), run.output


@pytest.mark.parametrize("revision", REVISIONS)
def test_so_is_what_the_suite_does_not_count_yet(asked: Asked, revision: str):
    others = {one for one in scenarios(revision, scored=False) if not one.startswith(NOT_OURS)}
    assert others
    assert not (wrong := [check for check in asked.failed(revision) if check.scenario in others]), listed(wrong)
    assert others - asked.runs[revision].ran() == set()


async def test_what_the_suite_did_is_on_record_of_the_user_whose_token_it_had(asked: Asked):
    for run in asked.runs.values():
        run.failed()

    async with asked.cluster.rest("admin") as rest:

        async def clients() -> set[str]:
            about = {"action": "resources/read", "user": "admin", "resource": "test://static-binary"}
            entries = (await rest.call("audit/list", **about))["entries"]
            return {entry["details"]["client"] for entry in entries if entry["transport"] == "mcp"}

        await eventually(clients, PATIENCE, "the entries have reached the trail")
        assert await clients() == {"conformance-test-client"}


def test_the_suite_says_what_is_wrong(asked: Asked, tmp_path: Path):
    nowhere = f"{asked.cluster.nodes[0].base}/nowhere"
    failed = Run(nowhere, tmp_path / "run", alone("ping", "2025-11-25")).failed()
    assert [(check.scenario, check.id) for check in failed] == [("ping", "ping")]
