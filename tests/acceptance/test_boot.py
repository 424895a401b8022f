"""`python -m deploy.boot`: what compose.yaml describes runs here, serves, and is gone when it is told to end."""

import re
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.stack.missing import missing
from tests.stack.node import ROOT, USER_LINE
from tests.stack.processes import Process
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.waiting import eventually

READY = re.compile(r"boot: ready at (https://\S+)")
NODE = re.compile(r"boot: a node at (http://\S+), for the gateway")
TRUSTED = re.compile(r"--cacert (\S+)")
# what HAProxy tells nodes of a client
BEHIND = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


@dataclass(slots=True)
class Boot:
    """A boot that is ready: where it is, its nodes, whom clients trust, and the first users."""

    process: Process
    base: str
    nodes: list[str]
    tls: ssl.SSLContext
    passwords: dict[str, str]

    def environment(self) -> dict[str, str]:
        """What its processes of ours get to know."""
        children = psutil.Process(self.process.pid).children()
        beat = next(child for child in children if "beat" in child.cmdline())
        found: dict[str, str] = beat.environ()
        return found

    def token(self, user: str) -> str:
        answer = httpx.post(
            f"{self.base}/api/v1/auth/login",
            json={"username": user, "password": self.passwords[user]},
            timeout=60,
            trust_env=False,
            verify=self.tls,
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access"]
        return token


@pytest.fixture(scope="module")
def boot() -> Iterator[Boot]:
    if not any((folder / "haproxy").exists() for folder in map(Path, ("/usr/sbin", "/usr/bin", "/usr/local/sbin"))):
        missing("haproxy (Debian: apt-get install haproxy)")
    process = Process([sys.executable, "-m", "deploy.boot", "--port", "0"], folder=ROOT)
    try:
        process.await_line("boot: ready at", 200)
        text = process.output
        (base,), nodes, (trusted,) = READY.findall(text), NODE.findall(text), TRUSTED.findall(text)
        users = {match[1]: match[2] for match in map(USER_LINE.fullmatch, process.lines) if match}
        yield Boot(process, base, nodes, ssl.create_default_context(cafile=trusted), users)
    finally:
        process.stop(within=90)


async def test_two_nodes_serve_and_follow_and_the_worker_brings_entries_to_the_trail(boot: Boot) -> None:
    uri = "resource://boot.local/a"
    first, second = boot.nodes
    alice = boot.token("alice")
    async with (
        await Socket.connect(boot.base, alice, ssl=boot.tls) as socket,
        Rest(first, alice, headers=BEHIND) as writer,
        Rest(second, alice, headers=BEHIND) as reader,
        Rest(boot.base, boot.token("admin"), tls=boot.tls) as admin,
    ):
        followed = await socket.subscribe("resource://boot.local/*")
        for number in range(1, 4):
            await writer.call("resources/write", uri=uri, content=number)
            assert (await reader.call("resources/read", uri=uri))["content"] == number
        await followed.count(3)

        async def moved() -> bool:
            entries = (await admin.call("audit/list", resource=uri, action="resources/write"))["entries"]
            return len(entries) == 3

        await eventually(moved, 60, "three entries in the audit database")
    verified = Process([sys.executable, "manage.py", "audit", "verify"], folder=ROOT, environment=boot.environment())
    assert verified.wait(60) == 0, verified.output


def test_told_to_end_it_ends_everything(boot: Boot) -> None:
    children = psutil.Process(boot.process.pid).children(recursive=True)
    assert {"haproxy", "redis-server", "postgres"} <= {child.name() for child in children}
    assert boot.process.stop(within=90) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert "by force" not in boot.process.output
