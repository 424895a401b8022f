"""How late an event loop is."""

import asyncio

from telemetry_app.metrics import LOOP_LAG

LOOK_SECONDS = 0.25


async def measure_loop_lag() -> None:
    """For ever: see how much later than asked for this task runs on."""
    loop = asyncio.get_running_loop()
    while True:
        planned = loop.time() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        LOOP_LAG.observe(max(0.0, loop.time() - planned))
