"""A slow query leaves a line with its plan, and neither shows what was asked for."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, TypeVar

import pytest
from django.conf import settings as configured
from django.db import connection, connections
from pytest_django import Settings

from audit_app.database import in_database
from erlmcp_site.logs.lines import FIELDS, LineFormatter
from erlmcp_site.logs.plans import plan_of
from erlmcp_site.logs.queries import Plans, SlowQuery, count_queries, leave_line, shown
from resources_app.models import Resource
from telemetry_app.tracing.context import continued
from telemetry_app.under_way import UnderWay, under_way
from tests.stack.waiting import PATIENCE, wait_until

T = TypeVar("T")

CANARY = "resource://canary.example/o'clock"

pytestmark = pytest.mark.usefixtures("heads")


@pytest.fixture
def request_under_way() -> Iterator[UnderWay]:
    work = UnderWay("r-1", continued(None))
    outside = under_way.set(work)
    yield work
    under_way.reset(outside)


def elsewhere(work: Callable[[], T]) -> T:
    """What a function returns on a thread of its own, whose connections it closes."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def resources() -> list[Any]:
    return list(Resource.objects.filter(uri=CANARY).values_list("uri"))


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, FIELDS)
    return fields


async def test_queries_are_counted_for_the_request_that_asks(request_under_way: UnderWay) -> None:
    await in_database(resources)
    await in_database(resources)
    assert request_under_way.queries == 2
    assert request_under_way.query_seconds > 0
    under_way.set(None)
    await in_database(resources)
    assert request_under_way.queries == 2


async def test_a_slow_one_leaves_a_line_of_its_request_without_values(
    settings: Settings, request_under_way: UnderWay, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SLOW_QUERY_SECONDS = 1e-9
    await in_database(resources)
    (record,) = [record for record in caplog.records if record.name == "erlmcp.queries"]
    fields = fields_of(record)
    assert (record.getMessage(), record.levelname, fields["database"]) == ("slow query", "WARNING", "default")
    assert fields["ms"] > 0 and fields["sql"].startswith("SELECT")
    assert "canary" not in LineFormatter("json").format(record)


async def test_no_query_is_slow_with_0(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.SLOW_QUERY_SECONDS = 0
    await in_database(resources)
    assert not [record for record in caplog.records if record.name == "erlmcp.queries"]


def test_a_connection_counts_once_however_often_it_is_made(heads: None) -> None:
    before = list(connection.execute_wrappers)
    count_queries(connection)
    count_queries(connection)
    assert connection.execute_wrappers == before and len(before) >= 1


def test_a_plan_names_tables_and_indexes_and_no_value() -> None:
    queryset = Resource.objects.filter(uri=CANARY, version__gt=987654321).order_by("-version")
    sql, params = queryset.query.sql_with_params()
    plan = elsewhere(lambda: plan_of("default", sql, params))
    assert any("resources_app_resource" in line for line in plan), plan
    assert not [line for line in plan if "canary" in line or "987654321" in line or "clock" in line]
    if not configured.ON_SQLITE:
        assert all("cost" in line and "rows" in line for line in plan)
        waits = "SELECT current_setting('lock_timeout')"
        with connections["default"].cursor() as cursor:
            cursor.execute(waits)
            assert cursor.fetchone() == ("0",)


def test_nodes_of_a_plan_are_indented_under_what_asks_for_them() -> None:
    within = Resource.objects.filter(uri__in=Resource.objects.filter(version__gt=3).values("uri")[:5])
    sql, params = within.query.sql_with_params()
    plan = elsewhere(lambda: plan_of("default", sql, params))
    assert len(plan) > 1 and any(line.startswith("  ") for line in plan), plan


def slow(sql: str, params: object = None) -> SlowQuery:
    return SlowQuery("default", sql, params, 0.75, copy_context())


def lines_with_plans(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    found = [fields_of(record) for record in caplog.records if record.name == "erlmcp.queries"]
    return [fields for fields in found if "plan" in fields]


def test_the_line_comes_with_the_plan_once_a_query(caplog: pytest.LogCaptureFixture) -> None:
    plans = Plans()
    read = slow("SELECT uri FROM resources_app_resource WHERE uri IN (%s, %s)", [CANARY, "b"])
    assert not plans.takes(read), "no process serves yet"
    plans.begin()
    assert plans.takes(read)
    wait_until(lambda: lines_with_plans(caplog), PATIENCE, "the plan has been taken")
    longer = slow("SELECT uri FROM resources_app_resource WHERE uri IN (%s, %s, %s)", [CANARY, "b", "c"])
    assert not plans.takes(longer), "it is the same query, of which there is a plan"
    for statement in ("UPDATE resources_app_resource SET version = 1", "BEGIN", "DELETE FROM resources_app_resource"):
        assert not plans.takes(slow(statement))
    (fields,) = lines_with_plans(caplog)
    assert fields["ms"] == 750
    assert fields["sql"] == "SELECT uri FROM resources_app_resource WHERE uri IN (%s, …)"
    assert any("resources_app_resource" in step for step in fields["plan"])


def test_a_query_that_has_no_plan_leaves_its_line(caplog: pytest.LogCaptureFixture) -> None:
    plans = Plans()
    plans.begin()
    assert plans.takes(slow("SELECT nothing FROM nowhere WHERE a = %s", [CANARY]))
    wait_until(lambda: lines_with_plans(caplog), PATIENCE, "the line is there")
    (fields,) = lines_with_plans(caplog)
    assert fields["plan"][0].startswith("none: ")
    assert "canary" not in caplog.text


def test_literals_of_a_statement_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert shown("SELECT 'o''clock', %s, %s,%s FROM a") == "SELECT '…', %s, … FROM a"
    leave_line(slow(f"SELECT '{CANARY.replace(chr(39), chr(39) * 2)}'"))
    (record,) = [record for record in caplog.records if record.name == "erlmcp.queries"]
    assert "canary" not in LineFormatter("json").format(record)
