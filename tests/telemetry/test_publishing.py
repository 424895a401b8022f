"""A node tells the sums of its processes, also of those that have ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.core import Exemplar

from telemetry_app.publishing import STATE, Published, decode, encode, look
from telemetry_app.state import Key, State, merge
from tests.stack.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

READS: Key = ("erlmcp_requests_total", (("transport", "rest"), ("method", "resources/read"), ("outcome", "success")))
FOLLOWERS: Key = ("erlmcp_followers", ())
HEAD: Key = ("erlmcp_log_head", ())
SESSIONS: Key = ("erlmcp_sessions", (("state", "active"),))
NETWORK: Key = ("erlmcp_system_network_bytes_total", (("way", "sent"),))
SLOWER: Key = (
    "erlmcp_request_seconds_bucket",
    (("transport", "rest"), ("method", "resources/read"), ("stage", "total"), ("le", "0.1")),
)

WRITE = """
import os, sys
from pathlib import Path
from telemetry_app.publishing import Published
from telemetry_app.state import State
published = Published(Path(sys.argv[1]))
samples = {
    ("erlmcp_requests_total", (("transport", "rest"), ("method", "resources/read"), ("outcome", "success"))): 5.0,
    ("erlmcp_followers", ()): 2.0,
}
published.write(State(1.0, samples))
print("written", flush=True)
sys.stdin.read()
"""


def test_each_metric_is_put_together_as_it_has_to_be():
    early = State(
        1.0,
        {READS: 2.0, FOLLOWERS: 1.0, HEAD: 9.0, SESSIONS: 4.0, NETWORK: 100.0},
        seen={SESSIONS: 1.0},
        rates={READS: 1.0, NETWORK: 7.0},
        since=50.0,
    )
    late = State(
        2.0,
        {READS: 3.0, FOLLOWERS: 5.0, HEAD: 7.0, SESSIONS: 3.0, NETWORK: 101.0},
        seen={SESSIONS: 2.0},
        rates={READS: 0.5, NETWORK: 8.0},
        since=70.0,
    )
    for states in ([early, late], [late, early]):
        whole = merge(states)
        assert whole.samples == {READS: 5.0, FOLLOWERS: 6.0, HEAD: 9.0, SESSIONS: 3.0, NETWORK: 101.0}
        assert whole.rates == {READS: 1.5, NETWORK: 8.0}
        assert (whole.at, whole.since) == (2.0, 50.0)


def test_of_exemplars_the_latest_stays():
    old, new = Exemplar({"trace_id": "a" * 32}, 0.05, 1.0), Exemplar({"trace_id": "b" * 32}, 0.06, 2.0)
    whole = merge(
        [State(2.0, {SLOWER: 1.0}, exemplars={SLOWER: new}), State(3.0, {SLOWER: 1.0}, exemplars={SLOWER: old})]
    )
    assert whole.exemplars == {SLOWER: new}


def test_a_state_is_read_as_it_was_written():
    state = State(
        3.5,
        {READS: 2.0, SESSIONS: 4.0, SLOWER: 7.0},
        seen={SESSIONS: 1.0},
        rates={READS: 0.25},
        exemplars={SLOWER: Exemplar({"trace_id": "c" * 32}, 0.07, 3.0)},
        since=1.5,
    )
    assert decode(encode(state)) == state


def test_what_a_version_with_other_metrics_has_written_is_left_alone():
    assert decode(encode(State(1.0, {READS: 1.0})).replace(b'"version":"', b'"version":"x')) is None


def test_processes_see_each_other(tmp_path: Path):
    one, other = Published(tmp_path), Published(tmp_path)
    for count in range(3):
        other.write(State(1.0, {READS: float(count)}))
    assert one.read(State(2.0, {READS: 40.0})).samples == {READS: 42.0}
    assert len(list(tmp_path.glob(f"*{STATE}"))) == 1
    one.let_go()
    other.let_go()


def test_what_a_killed_process_has_counted_stays_and_what_it_had_does_not(tmp_path: Path, writer: "Start"):
    reader = Published(tmp_path)
    processes = [writer(), writer()]
    own = State(1.0, {READS: 1.0, FOLLOWERS: 1.0})
    assert reader.read(own).samples == {READS: 11.0, FOLLOWERS: 5.0}
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(3):
        assert reader.read(own).samples == {READS: 11.0, FOLLOWERS: 1.0}
    assert list(tmp_path.glob(f"*{STATE}")) == []

    third = writer()
    assert reader.read(own).samples == {READS: 16.0, FOLLOWERS: 3.0}
    third.kill()
    third.wait()
    assert reader.read(own).samples == {READS: 16.0, FOLLOWERS: 1.0}
    reader.let_go()


def test_the_dead_are_added_up_once_though_their_files_could_not_be_dropped(tmp_path: Path, writer: "Start"):
    reader = Published(tmp_path)
    process = writer()
    kept = {file: file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith(f"{process.pid}-")}
    process.kill()
    process.wait()
    for _ in range(2):
        assert reader.read(State(1.0, {})).samples == {READS: 5.0}
        for file, content in kept.items():
            file.write_bytes(content)
    reader.let_go()


def test_who_is_none_of_the_node_sees_the_same_and_changes_nothing(tmp_path: Path, writer: "Start"):
    first, second = writer(), writer()
    second.kill()
    second.wait()
    before = sorted(tmp_path.iterdir())
    for _ in range(2):
        state = look(tmp_path)
        assert state is not None
        assert state.samples == {READS: 10.0, FOLLOWERS: 2.0}
    assert sorted(tmp_path.iterdir()) == before
    first.kill()
    first.wait()
    assert look(tmp_path) is None


def test_what_processes_have_to_say_beside_numbers_is_heard_while_they_live(tmp_path: Path):
    one, other = Published(tmp_path), Published(tmp_path)
    other.write(State(1.0, notes=[{"kind": "b", "text": "é"}]))
    own = State(2.0, notes=[{"kind": "a"}])
    assert one.read(own).notes == [{"kind": "a"}, {"kind": "b", "text": "é"}]
    other.let_go()
    assert one.read(own).notes == [{"kind": "a"}]
    one.let_go()


def test_with_the_first_of_new_processes_everything_begins_anew(tmp_path: Path, writer: "Start"):
    process = writer()
    process.kill()
    process.wait()
    fresh = Published(tmp_path)
    assert fresh.read(State(1.0, {READS: 1.0})).samples == {READS: 1.0}
    fresh.let_go()


FORKING = """
import json, os, sys
import django
django.setup()
from telemetry_app import life
from telemetry_app.metrics import EVENTS
from telemetry_app.reporter import reporter

def counted():
    return reporter.look_now().value("erlmcp_events_total")

life.begin("worker")
EVENTS.labels("created").inc(5)
before = counted()
told, tells = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        life.begin("worker")
        EVENTS.labels("created").inc(3)
        own = counted()
        os.write(tells, b"x")
        os._exit(0)
    os.read(told, 1)
    os.wait()
print(json.dumps([before, counted()]), flush=True)
"""


def test_what_was_forked_off_does_not_count_again_what_its_parent_has_counted(tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-c", FORKING],
        cwd=ROOT,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )
    assert told.stdout.strip() == "[5.0, 11.0]", told.stderr


FULL = """
import json, os, resource, signal
import django
django.setup()
from telemetry_app import life
from telemetry_app.metrics import EVENTS
from telemetry_app.reporter import reporter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

def counted():
    return reporter.look_now().value("erlmcp_events_total")

life.begin("web")
EVENTS.labels("created").inc(5)
found = [counted()]
told, tells = os.pipe()
child = os.fork()
if child == 0:
    life.begin("web")
    EVENTS.labels("created").inc(3)
    counted()
    os.write(tells, b"x")
    signal.pause()
os.read(told, 1)
found.append(counted())
resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
EVENTS.labels("created").inc(4)
found.append(counted())
os.kill(child, signal.SIGKILL)
os.wait()
found += [counted(), reporter.look_now().value("erlmcp_processes")]
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
found.append(counted())
print(json.dumps(found), flush=True)
"""


def test_no_sum_falls_while_nothing_can_be_written_and_what_was_counted_meanwhile_is_told_later(tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-c", FULL],
        cwd=ROOT,
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )
    assert told.stdout.strip() == "[5.0, 8.0, 8.0, 8.0, 1, 12.0]", told.stderr


Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def writer(tmp_path: Path):
    """Starts processes of the node of `tmp_path`, each with 5 reads and 2 followers."""
    started = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path)],
            cwd=ROOT,
            env=_environment(tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "erlmcp_site.settings",
        "VAR_DIR": str(folder / "var"),
        "PYTHONPATH": str(ROOT),
    }
