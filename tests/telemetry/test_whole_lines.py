"""Lines of several processes that write to one pipe stay whole, however long they are and however slowly it is read."""

import os
import subprocess
import sys
from pathlib import Path

from tests.stack.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
EACH = 40
LONG = 150_000
"""More than a pipe takes at once."""

WRITING = """
import sys
from erlmcp_site.logs.outflow import Outflow
outflow = Outflow(int(sys.argv[1]))
mark, count, long = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    outflow.put(str, mark * (long if number % 4 == 0 else 50))
"""


def test_no_line_is_broken_by_that_of_another_process(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "erlmcp_site.settings",
        "VAR_DIR": str(tmp_path),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, str(writes), mark, str(EACH), str(LONG)],
            env=environment,
            pass_fds=[writes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for mark in "abc"
    ]
    os.close(writes)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    written = bytearray()
    while read := os.read(reads, 4096):
        written += read
    os.close(reads)
    lines = written.decode().splitlines()
    whole = {mark * length for mark in "abc" for length in (50, LONG)}
    assert [line[:20] for line in lines if line not in whole] == []
    assert len(lines) == 3 * EACH
    for process in processes:
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
