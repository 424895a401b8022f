"""A program: whoever works on a re-encryption is killed at a chosen point, and the last one finishes.

`python -m tests.encryption.mortal_reencryption <keyring> <prefix>` begins a run that encrypts what lies below
the prefix, and sessions. It writes a line for each worker: "killed <point>", and at the end the phase of the run
and how much has failed. The points are functions and coroutines; a process dies when one returns, or
waits, for the n-th time.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import django
from asgiref.sync import async_to_sync
from django.conf import settings

from tests.stack.beside import in_a_fork

django.setup()

from audit_app.system import system_entry  # noqa: E402  # needs Django to be set up
from audit_app.trail import Entry  # noqa: E402
from audit_app.writer import writer  # noqa: E402
from encryption_app import rewrapping, runs  # noqa: E402
from encryption_app.policy import SESSIONS, Rule  # noqa: E402
from resources_app import rewriting  # noqa: E402
from sessions_app import reencryption, resealing, upkeep  # noqa: E402

# a provider at work, a step, a decision in a transaction, a step that is done and not written down
POINTS = {
    "_rewrapped": (rewrapping, 3),
    "rewrap_keys": (rewrapping, 3),
    "_rewritten": (rewriting, 3),
    "rewrite_events": (rewriting, 3),
    "apply": (upkeep, 1),
    "reseal_sessions": (resealing, 3),
    "after": (runs, 2),
}


def entry_of_worker() -> Entry:
    return system_entry("encryption/reencrypt", "encryption")


def begin() -> None:
    async_to_sync(reencryption.begin_reencryption)(entry_of_worker())
    writer.close()


def work() -> runs.Run | None:
    run: runs.Run | None = async_to_sync(reencryption.reencrypt)(600.0, entry_of_worker())
    writer.close()
    return run


def work_until_killed(point: str) -> None:
    module, times = POINTS[point]
    seen = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        if event == "return" and frame.f_code.co_name == point and frame.f_code.co_filename == module.__file__:
            seen += 1
            if seen == times:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)
    work()


settings.ENCRYPTION_KEYRING = Path(sys.argv[1])
settings.ENCRYPT = (Rule(sys.argv[2], "local"), Rule(SESSIONS, "local"))
in_a_fork(begin)
for chosen in POINTS:
    status = in_a_fork(lambda: work_until_killed(chosen))  # noqa: B023  # it runs at once
    sys.stdout.write(f"killed {chosen}\n" if status == -signal.SIGKILL else f"status {status}\n")
    sys.stdout.flush()
finished = work()
assert finished is not None
sys.stdout.write(f"{finished.phase} {finished.failed}\n")
