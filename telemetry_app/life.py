"""A process as one of its node, for telemetry: from `begin` to `end`."""

from telemetry_app.exporters.sending import sending
from telemetry_app.reporter import reporter


def begin(process: str) -> None:
    """Have the node see what this process counts, and maybe send it; `process` is web, grpc, worker or beat.

    Nothing happens when that has begun. Beat reaches no database, so it sends nothing.
    """
    reporter.start(process)
    if process != "beat":
        sending.start(process)


def end() -> None:
    """Leave the node; what was counted stays with it. Waits for no receiver."""
    sending.stop()
    reporter.stop()
