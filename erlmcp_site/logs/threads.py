"""What a process that serves has done beside its work: writing its lines, taking plans of slow queries."""

from erlmcp_site.logs.outflow import standard_error
from erlmcp_site.logs.queries import plans


def begin_threads() -> None:
    """Begin with both; they end with the process."""
    standard_error.begin()
    plans.begin()
