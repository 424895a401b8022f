"""Re-encryption while everything goes on: in small steps through the writer, from where the last one has got.

First data keys are wrapped by the current key-encryption keys, then kept content is brought in line with the rules.
"""

import time
from dataclasses import replace

from audit_app.database import in_database
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.rewrapping import rewrap_keys
from encryption_app.runs import DONE, EVENTS, KEYS, RESOURCES, BeginRun, MoveRun, Run, last_run
from resources_app.log.head import CHANGES, bounds
from resources_app.rewriting import rewrite_events, rewrite_resources

STEP = 100


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

    Whoever works on it at the same time takes turns or stops. Raises Unavailable while a key is not to be had; the next
    call goes on there.
    """
    until = time.monotonic() + seconds
    run = await in_database(last_run)
    while run is not None and not run.is_finished:
        moved = await _step(run)
        if not await writer.submit(MoveRun(before=run, run=moved, entry=entry if moved.is_finished else None)):
            return await in_database(last_run)
        run = moved
        if time.monotonic() >= until:
            break
    return run


async def _step(run: Run) -> Run:
    """The run after its next step."""
    if run.phase == KEYS:
        last_key, count = await rewrap_keys(run.cursor, STEP)
        counted = replace(run, data_keys=run.data_keys + count)
        return _moved(counted, last_key, RESOURCES)
    if run.phase == RESOURCES:
        last_uri, count = await rewrite_resources(run.cursor, STEP)
        return _moved(replace(run, resources=run.resources + count), last_uri, EVENTS)
    last_offset, count = await rewrite_events(int(run.cursor or 0), run.upto, STEP)
    cursor = None if last_offset is None else str(last_offset)
    return _moved(replace(run, events=run.events + count), cursor, DONE)


def _moved(run: Run, cursor: str | None, after: str) -> Run:
    return replace(run, phase=after, cursor="") if cursor is None else replace(run, cursor=cursor)
