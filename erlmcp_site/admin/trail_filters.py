"""What the list of the trail is narrowed by, and how much of it there is; all of it by the trail's indexes."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter

from audit_app.models import Trail
from audit_app.queries import below
from erlmcp_site.methods.table import METHODS

TRANSPORTS = ("rest", "websocket", "sse", "grpc", "mcp", "admin", "system")

MOST = 10_000
"""So many entries can be turned over page by page: counting and skipping more of them takes too long."""


class TransportFilter(SimpleListFilter):
    """By transport; the values are not asked of the trail, which would have to be read through for them."""

    title = "transport"
    parameter_name = "transport"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(name, name) for name in TRANSPORTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(transport=self.value()) if self.value() else queryset


class ActionFilter(DropdownFilter):
    """By one of our methods. The address takes any other action, too."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        names = {*METHODS, self.used_parameters.get(self.parameter_name) or ""} - {""}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: Trail) -> Trail:
        return queryset.filter(action=self.value()) if self.value() else queryset


class UserFilter(TextFilter):
    """By a user's whole name."""

    title = "user"
    parameter_name = "user"

    def queryset(self, request: HttpRequest, queryset: Trail) -> Trail:
        return queryset.filter(user=self.value()) if self.value() else queryset


class ResourceFilter(TextFilter):
    """By a whole URI, or everything below one."""

    title = "URI, or all below it with /*"
    parameter_name = "resource"

    def queryset(self, request: HttpRequest, queryset: Trail) -> Trail:
        value = self.value()
        if not value:
            return queryset
        if value.endswith("/*"):
            return below(queryset, value.removesuffix("*"))
        return queryset.filter(resource_id=value)


class PeriodFilter(RangeDateTimeFilter):
    """From a moment to another, in UTC; of a day without a time, from its first or to its last moment."""

    def queryset(self, request: HttpRequest, queryset: Trail) -> Trail:
        for end, lookup, whole_day in (("from", "gte", time.min), ("to", "lte", time.max)):
            day, moment = (self.used_parameters.get(f"timestamp_{end}_{part}") for part in (0, 1))
            if not day:
                continue
            try:
                given = time.fromisoformat(moment) if moment else whole_day
                bound = datetime.combine(date.fromisoformat(day), given, tzinfo=UTC)
            except ValueError as error:
                raise IncorrectLookupParameters(error) from None
            queryset = queryset.filter(**{f"timestamp__{lookup}": bound})
        return queryset


class FirstPages(Paginator):
    """Pages of the first MOST rows; what lies behind them is found by narrower filters."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST].count())

    @property
    def is_cut(self) -> bool:
        """Whether there may be more than the pages show."""
        return self.count >= MOST
