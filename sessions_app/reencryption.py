"""Re-encryption while everything goes on: in small steps through the writer, from where the last one has got.

First data keys are wrapped by the current key-encryption keys, then what is kept is brought in line with the rules. It
is here because sessions are the uppermost of that.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from audit_app.database import in_database
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.errors import KeysAway
from encryption_app.progress import Progress
from encryption_app.rewrapping import rewrap_keys
from encryption_app.runs import EVENTS, KEYS, RESOURCES, BeginRun, MoveRun, Run, last_run
from resources_app.log.head import CHANGES, bounds
from resources_app.rewriting import rewrite_events, rewrite_resources
from sessions_app.resealing import reseal_sessions

STEP = 100
MAX_WAITS = 60
"""A run waits so many times for providers that do not answer; then it passes by what it cannot have, and says so."""


async def begin_reencryption(entry: Entry | None) -> Run:
    """The run that is not finished, or a new one."""
    last = await in_database(last_run)
    if last is not None and not last.is_finished:
        return last
    head = (await in_database(bounds))[CHANGES].head
    run: Run = await writer.submit(
        BeginRun(run=Run(number=last.number + 1 if last else 1, phase=KEYS, cursor="", upto=head), entry=entry)
    )
    return run


async def reencrypt(seconds: float, entry: Entry) -> Run | None:
    """Work on the run that is not finished for so long, and for a step at least. Returns how far it is.

    None when there was never one.

    Whoever works on it at the same time takes turns or stops. Raises KeysAway while a key is not to be had; the next
    call goes on there, and some calls later without that key.
    """
    until = time.monotonic() + seconds
    run = await in_database(last_run)
    while run is not None and not run.is_finished:
        try:
            moved = run.after(await _step(run))
        except KeysAway:
            await writer.submit(MoveRun(before=run, run=replace(run, waits=run.waits + 1)))
            raise
        if not await writer.submit(MoveRun(before=run, run=moved, entry=entry if moved.is_finished else None)):
            return await in_database(last_run)
        run = moved
        if time.monotonic() >= until:
            break
    return run


def _step(run: Run) -> Awaitable[Progress]:
    """The next step of a run."""
    is_patient = run.waits < MAX_WAITS
    if run.phase == EVENTS:
        return rewrite_events(run.cursor, run.upto, STEP, is_patient=is_patient)
    steps: dict[str, Callable[..., Awaitable[Progress]]] = {KEYS: rewrap_keys, RESOURCES: rewrite_resources}
    return steps.get(run.phase, reseal_sessions)(run.cursor, STEP, is_patient=is_patient)
