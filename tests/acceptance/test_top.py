"""`manage.py top` on a real node: one frame, JSON, a pipe, a small terminal, and a node that goes away."""

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from tests.stack.cluster import Cluster
from tests.stack.node import ROOT
from tests.stack.processes import Process, free_port
from tests.stack.waiting import PATIENCE, wait_until

TOP = (sys.executable, "manage.py", "top")


def environment(cluster: Cluster, user: str = "admin", **more: str) -> Mapping[str, str]:
    return {**cluster.nodes[0].environment, "TOKEN": cluster.token(user), **more}


Top = Callable[..., str]


@pytest.fixture
def top(embedded: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Top:
    """The command in this process, about the node: what it prints, or the sentence that it ends with."""

    def run(*arguments: str, token: str | None = None, width: int = 120, **more: str) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TOKEN", embedded.token("admin") if token is None else token)
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        try:
            call_command("top", "--url", embedded.nodes[0].base, *arguments)
        except CommandError as error:
            return str(error)
        return capsys.readouterr().out

    return run


def test_once_prints_a_frame_as_text(embedded: Cluster, top: Top) -> None:
    text = top("--once", width=60)
    assert embedded.nodes[0].base in text and "ready" in text and "deliveries" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 60


def test_once_with_json_prints_the_snapshot(top: Top) -> None:
    assert json.loads(top("--once", "--json")).keys() == {"health", "figures", "slow_topics", "metrics"}


def test_a_user_logs_in_with_a_password(embedded: Cluster, top: Top) -> None:
    assert "ready" in top("--once", "--user", "admin", token="", PASSWORD=embedded.passwords["admin"])
    assert "ready" not in top("--once", "--user", "admin", token="", PASSWORD="another")


def test_the_nodes_own_user_needs_no_credential(embedded: Cluster, top: Top, settings: Settings) -> None:
    settings.VAR_DIR = Path(embedded.nodes[0].environment["VAR_DIR"])
    before = {file.name for file in (settings.VAR_DIR / "metrics").glob("*.alive")}
    text = top("--once", "--local", token="")
    assert embedded.nodes[0].base in text and "ready" in text and "deliveries" in text
    local, asked = json.loads(top("--once", "--local", "--json", token="")), json.loads(top("--once", "--json"))
    assert local.keys() == asked.keys()
    assert local["figures"].keys() == asked["figures"].keys()
    assert local["health"].keys() == asked["health"].keys()
    assert {metric["name"] for metric in local["metrics"]} >= {"erlmcp_requests", "erlmcp_followers"}
    assert {file.name for file in (settings.VAR_DIR / "metrics").glob("*.alive")} == before, "it is none of the node"


def test_where_no_node_runs_there_is_nothing_to_look_at(top: Top, settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    assert "no process of a node" in top("--once", "--local", token="")


def test_what_cannot_work_is_said_in_a_sentence(embedded: Cluster, top: Top) -> None:
    assert "telemetry:read" in top(token=embedded.token("bob"))
    assert "token" in top(token="of nobody")
    assert "Set TOKEN" in top("--once", token="")
    assert "--interval" in top("--interval", "0")
    assert "Connection refused" in top("--once", "--url", f"http://127.0.0.1:{free_port()}")
    assert "no node of erlmcp" in top("--once", "--url", f"{embedded.nodes[0].base}/admin/login/?")


def test_a_pipe_gets_frame_after_frame_until_it_is_interrupted(embedded: Cluster) -> None:
    process = Process([*TOP, "--interval", "0.1"], folder=ROOT, environment=environment(embedded))
    base = embedded.nodes[0].base
    wait_until(lambda: sum(base in line for line in list(process.lines)) >= 2, PATIENCE, "two frames")
    assert process.stop(by=signal.SIGINT) == 0
    assert "Traceback" not in process.output


def test_a_small_terminal_shows_what_fits(embedded: Cluster) -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 8, 40, 0, 0))
    seen = bytearray()

    def read() -> None:
        try:
            while data := os.read(ours, 65536):
                seen.extend(data)
        except OSError:
            return  # the other end is closed

    process = subprocess.Popen(
        [*TOP, "--interval", "0.1"], cwd=ROOT, env=environment(embedded, TERM="xterm"), stdin=theirs, stdout=theirs
    )
    os.close(theirs)
    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        wait_until(lambda: seen.count(b"sessions active") >= 2, PATIENCE, "two frames")
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(PATIENCE)
    reading.join(PATIENCE)
    os.close(ours)
    assert status == 0
    assert b"\x1b[?1049h" in seen and b"\x1b[?1049l" in seen, "the screen is given back"
    assert b"slow topics" not in seen, "that is below the edge"
