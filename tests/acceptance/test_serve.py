"""`manage.py serve`, which is what `make run` runs: prepares, serves, keeps its parts alive, ends in time."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from erlmcp_site.serving.ending import CUT_STATUS
from tests.stack.node import FREE, ROOT, Node
from tests.stack.processes import Process, free_port
from tests.stack.waiting import PATIENCE, in_time, wait_until

STOP_SECONDS = 30
HALF_A_REQUEST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{"
DEMO_RESOURCE = "/api/v1/resources/demo.local/weather/helsinki"

Boot = Callable[[], Node]


@contextmanager
def booting(folder: Path) -> Iterator[Boot]:
    """Starts nodes, demo included, that follow each other on one folder; ends what is left of them."""
    nodes: list[Node] = []

    def start() -> Node:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GRPC_PORT": ""}
        node = Node(folder / "var", environment)
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        if node.process is not None and node.process.is_running:
            node.kill()


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    with booting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node after its first start, for tests that leave it running."""
    with booting(tmp_path_factory.mktemp("node")) as start:
        yield start()


def login(node: Node, user: str, password: str) -> str:
    answer = httpx.post(
        f"{node.base}/api/v1/auth/login", json={"username": user, "password": password}, timeout=30, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access"]
    return token


def read(node: Node, path: str, token: str) -> httpx.Response:
    return httpx.get(f"{node.base}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)


def children(node: Node) -> list[psutil.Process]:
    assert node.process is not None
    found: list[psutil.Process] = psutil.Process(node.process.pid).children(recursive=True)
    return found


def words(process: psutil.Process) -> list[str]:
    """Its command; nothing for one that has just ended."""
    try:
        command: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return command


def child(node: Node, word: str) -> psutil.Process:
    return next(process for process in children(node) if word in words(process))


def paste(node: Node) -> Any:
    """What the line that the node shows to try answers in a shell."""
    assert node.process is not None
    line = node.process.await_line("curl -s", PATIENCE)
    pasted = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    return json.loads(pasted.stdout)


def test_the_first_start_shows_passwords_that_work_and_loads_the_demo(node: Node):
    assert set(node.passwords) == {"admin", "alice", "bob"}
    for user, password in node.passwords.items():
        answer = read(node, DEMO_RESOURCE, login(node, user, password))
        assert answer.status_code == 200
        assert answer.json()["content"]["city"] == "helsinki"


def test_the_first_answer_of_all_bears_a_date(tmp_path: Path):
    node = Node(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GRPC_PORT": FREE, "DEMO": "0"})
    node.begin()
    assert node.process is not None
    try:
        # the port is open before the process that answers on it has started
        first = wait_until(lambda: connected(node.port), PATIENCE, "the port is open")
        assert first is not None
        first.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with first.makefile("rb") as answer:
            assert b"\r\ndate: " in answer.read()
    finally:
        node.kill()


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    except ConnectionRefusedError:
        return None


def test_the_line_to_try_works_when_pasted(node: Node):
    assert paste(node)["uri"] == "resource://demo.local/weather/helsinki"


def test_one_folder_has_one_server(node: Node):
    environment = {**node.environment, "PORT": str(free_port())}
    process = Process([sys.executable, "manage.py", "serve"], folder=ROOT, environment=environment)
    assert process.wait(60) == 1
    assert "runs on VAR_DIR" in process.output


@pytest.mark.parametrize("part", ["web 1", "worker", "beat"])
def test_a_killed_part_is_started_again_and_said_so(node: Node, part: str):
    assert node.process is not None
    word = part.split()[0]
    killed = child(node, word)
    killed.kill()
    node.process.await_line(f"erlmcp: {part} (pid {killed.pid}) ended by signal SIGKILL", PATIENCE)
    wait_until(lambda: any(word in words(process) for process in children(node)), 30, f"another {part}")
    wait_until(node.is_ready, 30, "the node is ready")


def test_the_demo_changes_like_a_feed_and_can_be_removed(node: Node):
    token = login(node, "bob", node.passwords["bob"])
    before = int(read(node, DEMO_RESOURCE, token).headers["Log-Offset"])
    assert "30 changes" in node.manage("demo", "--rate", "20", "--seconds", "1.5")
    wait_until(
        lambda: int(read(node, DEMO_RESOURCE, token).headers["Log-Offset"]) >= before + 30, 30, "the feed's events"
    )
    assert "removed" in node.manage("demo", "--remove")
    wait_until(lambda: read(node, DEMO_RESOURCE, token).status_code == 404, 30, "the demo is gone")


async def test_ctrl_c_ends_everything_in_time_and_the_next_start_keeps_tokens_valid(boot: Boot):
    first = boot()
    token = login(first, "alice", first.passwords["alice"])

    async def end() -> float:
        node = first if first.process is not None and first.process.is_running else boot()
        parts = children(node)
        started = time.monotonic()
        assert node.stop(signal.SIGINT) == 0
        took = time.monotonic() - started
        assert len(parts) == 3
        assert not any(process.is_running() for process in parts)
        return took

    await in_time(end, STOP_SECONDS, "everything ends")
    second = boot()
    assert second.passwords == {}
    assert read(second, DEMO_RESOURCE, token).status_code == 200
    assert paste(second)["status"] == "ok"


async def test_it_is_not_ready_as_soon_as_it_is_told_to_end(boot: Boot):
    async def end() -> float:
        node = boot()
        assert node.process is not None

        def draining() -> bool:
            return httpx.get(f"{node.base}/health/ready", timeout=60, trust_env=False).status_code == 503

        started = time.monotonic()
        node.process.send(signal.SIGTERM)
        try:
            wait_until(draining, PATIENCE, "503 while draining")
            took = time.monotonic() - started
        except httpx.TransportError:
            # it has ended before it was asked, so slow is this machine
            took = math.inf
        assert node.process.wait(40) == 0
        return took

    await in_time(end, 1, "it says that it is not ready")


def test_a_killed_parent_takes_its_children_along_and_a_second_signal_cuts_what_is_under_way(boot: Boot):
    first = boot()
    assert first.process is not None
    parts = children(first)
    os.kill(first.process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(parts, timeout=PATIENCE)
    assert not alive
    second = boot()
    assert second.process is not None
    with socket.create_connection(("127.0.0.1", second.port)) as client:
        client.sendall(HALF_A_REQUEST)
        # what came before this on the same loop has been taken in
        assert second.is_ready()
        second.process.send(signal.SIGINT)
        second.process.await_line("stopping", PATIENCE)
        second.process.send(signal.SIGINT)
        assert second.process.wait(STOP_SECONDS) == CUT_STATUS
    assert "web 1 could not finish everything that was under way" in second.output


def test_a_taken_port_stops_the_start_with_a_clear_message(tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "PORT": str(port)}
        process = Process([sys.executable, "manage.py", "serve"], folder=ROOT, environment=environment)
        assert process.wait(60) == 1
    assert f"Port {port} on 127.0.0.1 is taken" in process.output
    assert "Traceback" not in process.output
