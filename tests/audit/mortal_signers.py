"""A program: signers of the trail that are killed at a chosen point, one after the other; between them entries come.

`python -m tests.audit.mortal_signers <file>` has the second place in that file and the key next to it. It writes a line
for each signer: "killed <point>". The points are functions of the chain; a process dies when one returns.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import django
from django.conf import settings

from tests.stack.beside import in_a_fork

django.setup()

from audit_app.chain import checkpoints, second_place  # noqa: E402  # needs Django to be set up
from audit_app.commands import Record  # noqa: E402
from audit_app.mover import move_entries  # noqa: E402
from audit_app.trail import Entry  # noqa: E402
from audit_app.writer import writer  # noqa: E402

# the checkpoint is stored, its key is beside the second place, it is in there itself, it is told
POINTS = {"_store": checkpoints, "remember": second_place, "follow": second_place, "tell": checkpoints}


def sign_until_killed(point: str) -> None:
    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code.co_name == point and frame.f_code.co_filename == POINTS[point].__file__:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    checkpoints.sign_trail()


def leave_and_move() -> None:
    writer.run(Record(entry=Entry(timestamp=time.time(), action="resources/read", transport="rest")))
    move_entries()
    writer.close()


settings.AUDIT_CHECKPOINT_FILE = Path(sys.argv[1])
settings.AUDIT_SIGNING_KEY_FILE = settings.AUDIT_CHECKPOINT_FILE.with_name("audit_signing_key")
for chosen in POINTS:
    in_a_fork(leave_and_move)
    status = in_a_fork(lambda: sign_until_killed(chosen))  # noqa: B023  # it runs at once
    sys.stdout.write(f"killed {chosen}\n" if status == -signal.SIGKILL else f"status {status}\n")
