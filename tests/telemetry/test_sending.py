"""One process of a node sends what all of them have counted, and another goes on when it dies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.receivers import Lines
from tests.stack.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]

PROCESS = """
import sys
import django
django.setup()
from telemetry_app import life
from telemetry_app.metrics import EVENTS
EVENTS.labels("created").inc(int(sys.argv[2]))
life.begin(sys.argv[1])
print("begun", flush=True)
sys.stdin.read()
life.end()
"""


def lines(received: bytes) -> list[tuple[str, float, int]]:
    whole = received.decode().rpartition("\n")[0]
    return [(path, float(value), int(at)) for path, value, at in (line.split(" ") for line in whole.splitlines())]


class Node:
    """Processes of one node that send to `carbon`."""

    def __init__(self, folder: Path) -> None:
        self.carbon = Lines(lines)
        self.processes: list[subprocess.Popen[str]] = []
        self._environment = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "erlmcp_site.settings",
            "VAR_DIR": str(folder),
            "NODE_NAME": "n",
            "EXPORT_SECONDS": "1",
            "GRAPHITE_URL": f"graphite://127.0.0.1:{self.carbon.port}",
        }

    def start(self, kind: str, events: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, kind, str(events)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    def sent(self, name: str) -> list[float]:
        """The values of a metric so far."""
        return [value for path, value, _ in self.carbon.points() if path == f"erlmcp.n.{name}"]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self.carbon.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.stop()


def test_one_process_sends_for_all_and_another_when_it_is_killed(node: Node):
    worker = node.start("worker", 5)
    node.start("web", 3)
    node.start("beat", 1)
    wait_until(lambda: 9.0 in node.sent("events_total.created"), PATIENCE, "the sums of all are sent")
    seen = len(node.sent("events_total.created"))
    wait_until(lambda: len(node.sent("events_total.created")) > seen + 4, PATIENCE, "it is sent again and again")
    assert node.carbon.connections == 1

    worker.kill()
    worker.wait()
    wait_until(lambda: node.carbon.connections == 2, PATIENCE, "another one sends")
    seen = len(node.sent("events_total.created"))
    wait_until(lambda: len(node.sent("events_total.created")) > seen + 1, PATIENCE, "it goes on")
    assert node.sent("events_total.created")[-1] == 9.0
    assert node.sent("processes.web")[-1] == 1.0


def test_a_process_that_ends_in_order_leaves_the_turn_at_once(node: Node):
    worker = node.start("worker", 5)
    wait_until(lambda: node.sent("events_total.created"), PATIENCE, "it sends")
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(PATIENCE) == 0
    node.start("worker", 2)
    wait_until(lambda: node.carbon.connections == 2 and node.sent("processes.worker"), PATIENCE, "the next one sends")
