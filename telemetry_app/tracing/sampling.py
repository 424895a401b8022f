"""Which traces are kept: as the caller says, else by a ratio; and of the others what failed or was slow (the tail)."""

from django.conf import settings

from telemetry_app.collectors import collector_of

DIGITS = 16
"""The last digits of a trace id are what OpenTelemetry's TraceIdRatioBased goes by: all who sample like that agree."""


def has_collector() -> bool:
    """Whether traces go anywhere."""
    return collector_of("TRACES") is not None


class Sampler:
    """Says of traces that begin here whether they are kept. Until `start` none is."""

    def __init__(self) -> None:
        self._below = ""

    def start(self) -> None:
        """Go by the settings; without a collector nothing is kept."""
        share = settings.OTEL_TRACES_SAMPLER_ARG if has_collector() else 0.0
        # no digit is above "f"
        self._below = "g" if share == 1 else f"{int(share * 16**DIGITS):0{DIGITS}x}"

    def wants(self, trace_id: str) -> bool:
        """Whether a trace that begins here is kept from its beginning."""
        return trace_id[-DIGITS:] < self._below


sampler = Sampler()
