"""Queries are counted for the request that asks; a slow one leaves a line, with its plan where it reads."""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from erlmcp_site.logs.lines import FIELDS
from erlmcp_site.logs.plans import EXPLAIN, plan_of
from erlmcp_site.logs.repeats import Repeats
from erlmcp_site.logs.requests import milliseconds
from telemetry_app.under_way import under_way

log = logging.getLogger("erlmcp.queries")

MOST_CHARACTERS = 2_000
MOST_PLANS_WAITING = 4
PLAN_EVERY_SECONDS = 600.0
"""How often a plan is taken of one query."""

LITERAL = re.compile(r"'(?:[^']|'')*'")
LIST = re.compile(r"%s(?:, ?%s)+")


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A query that took too long, with what its plan is made of, and the context in which it was asked."""

    alias: str
    sql: str
    params: Any
    seconds: float
    context: Context


class Plans:
    """Takes plans of slow queries, one at a time, on a thread and a connection of its own.

    Until `begin`, and in processes that never do, lines have no plans.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[SlowQuery] = queue.Queue(MOST_PLANS_WAITING)
        self._repeats: Repeats[tuple[str, str]] = Repeats(1, PLAN_EVERY_SECONDS)
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Have a thread take them from now on, for as long as the process lives."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="plans", daemon=True)
            self._thread.start()

    def takes(self, slow: SlowQuery) -> bool:
        """Whether the plan of this query is taken, which then leaves its line."""
        if self._thread is None or slow.sql.lstrip()[:6].upper() != "SELECT":
            return False
        if not self._repeats.admits((slow.alias, shown(slow.sql))):
            return False
        try:
            self._waiting.put_nowait(slow)
        except queue.Full:
            return False
        return True

    def _work(self) -> None:
        while True:
            slow = self._waiting.get()
            self._repeats.ended()
            try:
                plan = plan_of(slow.alias, slow.sql, slow.params)
            except (DatabaseError, InterfaceError) as error:
                plan = [f"none: {type(error).__name__}"]
            except Exception as error:
                log.warning("no plan could be made of a slow query", exc_info=error)
                plan = []
            leave_line(slow, plan)


plans = Plans()


def count_queries(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Have a connection tell of its queries from now on. For Django's `connection_created`."""
    if counted not in connection.execute_wrappers:
        # before those of others, who take the last one away when they are done
        connection.execute_wrappers.insert(0, counted)


def counted(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Execute a query, and tell of it."""
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        seconds = time.perf_counter() - started
        request = under_way.get()
        if request is not None:
            request.queries += 1
            request.query_seconds += seconds
        if 0 < settings.SLOW_QUERY_SECONDS <= seconds and not sql.startswith(EXPLAIN):
            slow = SlowQuery(context["connection"].alias, str(sql), params, seconds, copy_context())
            if many or not plans.takes(slow):
                leave_line(slow)


def leave_line(slow: SlowQuery, plan: list[str] | None = None) -> None:
    """A line on a slow query, with the ids of the request or task that it was made for."""
    fields: dict[str, Any] = {"database": slow.alias, "ms": milliseconds(slow.seconds), "sql": shown(slow.sql)}
    if plan is not None:
        fields["plan"] = plan
    slow.context.run(log.warning, "slow query", extra={FIELDS: fields})


def shown(sql: str) -> str:
    """A statement without values, and without the length of its lists."""
    return LIST.sub("%s, …", LITERAL.sub("'…'", sql))[:MOST_CHARACTERS]
