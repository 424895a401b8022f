"""A program: workers of a sink that are killed at a chosen point of a batch, one after the other.

`python -m tests.audit.mortal_followers <rounds> <URL of the sink>` runs one process a point and round, and writes a
line for each: "killed <point>". A process dies when a function of that name returns for the first or second time.
Each finds the clock two minutes on, when the lease of the one before has run out.
"""

import os
import signal
import sys
from datetime import timedelta
from types import FrameType

import django

from tests.stack.beside import in_a_fork

django.setup()

from django.utils.timezone import now  # noqa: E402  # needs Django to be set up

from audit_app.sinks.configuration import parse_sink  # noqa: E402
from audit_app.sinks.follower import deliver  # noqa: E402

# somebody has the lease; the receiver has the batch; the cursor has moved
POINTS = ("take_lease", "send", "advance")


def deliver_until_killed(point: str, batch: int, minutes: int) -> None:
    returned = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal returned
        ours = "audit_app/sinks/" in frame.f_code.co_filename
        if event == "return" and ours and frame.f_code.co_name == point:
            returned += 1
            if returned == batch:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    deliver(parse_sink(sys.argv[2]), lambda: now() + timedelta(minutes=minutes), 30.0)


for number in range(int(sys.argv[1])):
    for place, chosen in enumerate(POINTS):
        batch = 1 if chosen == "take_lease" else 1 + number % 2
        later = 2 * (1 + number * len(POINTS) + place)
        status = in_a_fork(lambda: deliver_until_killed(chosen, batch, later))  # noqa: B023  # it runs at once
        sys.stdout.write(f"killed {chosen}\n" if status == -signal.SIGKILL else f"status {status}\n")
