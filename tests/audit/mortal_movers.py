"""A program: movers that are killed at a chosen point of a batch, one after the other.

`python -m tests.audit.mortal_movers <rounds>` runs one process a point and round, and writes a line for each:
"killed <point>". The points are functions of the mover; a process dies when one returns in its first or second batch.
"""

import os
import signal
import sys
from types import FrameType

import django

from tests.stack.beside import in_a_fork

django.setup()

from audit_app import mover  # noqa: E402  # needs Django to be set up

# the trail's rows are inserted, they are committed, the outbox's rows are deleted, that is committed
POINTS = ("_append", "add_batch", "delete_moved", "move_batch")


def move_until_killed(point: str, batch: int) -> None:
    returned = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal returned
        if event == "return" and frame.f_code.co_name == point and frame.f_code.co_filename == mover.__file__:
            returned += 1
            if returned == batch:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    mover.move_entries()


for number in range(int(sys.argv[1])):
    for chosen in POINTS:
        status = in_a_fork(lambda: move_until_killed(chosen, 1 + number % 2))  # noqa: B023  # it runs at once
        sys.stdout.write(f"killed {chosen}\n" if status == -signal.SIGKILL else f"status {status}\n")
