"""A program: retention that is killed at a chosen point.

`python -m tests.audit.mortal_archivers <folder> <before> <number of the point>` writes "killed <point>". The points are
functions of retention and of what it uses; the process dies when one returns.
"""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from types import FrameType

import django

from tests.stack.beside import in_a_fork

django.setup()

from audit_app import archives, retention  # noqa: E402  # needs Django to be set up

# half of a file is written, it is whole, it was checked, an entry waits to tell of it, the trail has that, the first
# and the second checkpoint are deleted
POINTS = (
    (archives.__file__, "_lines", 1),
    (archives.__file__, "check_file", 1),
    (archives.__file__, "write_archive", 1),
    (archives.__file__, "digest_of", 1),
    (retention.__file__, "tell", 1),
    (retention.__file__, "delete", 1),
    (retention.__file__, "delete", 2),
)


def archive_until_killed(file: str, point: str, times: int) -> None:
    returned = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal returned
        if event == "return" and frame.f_code.co_name == point and frame.f_code.co_filename == file:
            returned += 1
            if returned == times:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    list(retention.archive_old(datetime.fromisoformat(sys.argv[2]), Path(sys.argv[1])))


retention.STEP = 1
chosen = POINTS[int(sys.argv[3])]
status = in_a_fork(lambda: archive_until_killed(*chosen))
sys.stdout.write(f"killed {chosen[1]}\n" if status == -signal.SIGKILL else f"status {status}\n")
