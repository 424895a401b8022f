"""Pages of the audit trail and of what waits to reach it. Nothing can be changed here."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from audit_app.models import AuditEntry, OutboxEntry
from erlmcp_site.admin.pages import Page, pretty_json
from erlmcp_site.admin.requests import ask


@admin.register(AuditEntry)
class AuditEntryPage(Page):
    """The trail, the newest entry first. Whoever looks leaves an entry, as with `audit/list`."""

    view_needs = "audit:read"
    list_display = ("sequence", "moment", "queue", "user", "action", "end", "resource", "source_ip", "transport")
    list_display_links = ("sequence", "moment")
    list_filter = ("queue", "outcome", "transport", "timestamp")
    search_fields = ("user", "action", "resource_id", "id", "session_id", "request_id")
    search_help_text = "A whole user name, action, URI, or id of an entry, session or request"
    ordering = ("-timestamp", "-sequence")
    fieldsets = (
        (None, {"fields": ("id", "sequence", "moment", "queue")}),
        ("What", {"fields": ("action", "outcome", "code", "resource_type", "resource_id", "shown_details")}),
        ("Who", {"fields": ("user", "user_id", "session_id")}),
        ("From where", {"fields": ("transport", "source_ip", "user_agent", "request_id")}),
        ("Chain", {"fields": ("prev_hash", "hash")}),
    )

    @admin.display(description="time (UTC)", ordering="timestamp")
    def moment(self, entry: AuditEntry) -> str:
        return entry.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    @admin.display(description="outcome", ordering="outcome")
    def end(self, entry: AuditEntry) -> str:
        return f"{entry.outcome}: {entry.code}" if entry.code else entry.outcome

    @admin.display(description="resource", ordering="resource_id")
    def resource(self, entry: AuditEntry) -> str:
        return Truncator(entry.resource_id).chars(60)

    @admin.display(description="details")
    def shown_details(self, entry: AuditEntry) -> SafeString:
        return pretty_json(entry.details)

    def trail_key(self, row: AuditEntry) -> str:
        return row.resource_id or row.user

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Whole values, because those are what the trail's indexes find."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(*((name, term) for name in self.search_fields), _connector=Q.OR)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self._admit(request)
        return super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self._admit(request)
        return super().changeform_view(request, *args, **kwargs)

    @staticmethod
    def _admit(request: HttpRequest) -> None:
        """Leave the entry of this look. Raises PermissionDenied when the pipeline refuses."""
        if ask(request, "audit/list", {"limit": 1}).refusal is not None:
            raise PermissionDenied


@admin.register(OutboxEntry)
class OutboxEntryPage(Page):
    """Entries that wait to be moved to the trail; normally there are none older than a second or two."""

    view_needs = "audit:read"
    list_display = ("id", "queue", "summary")
    list_filter = ("queue",)
    ordering = ("-id",)
    fields = ("id", "queue", "shown_entry")

    @admin.display(description="entry")
    def summary(self, entry: OutboxEntry) -> str:
        return Truncator(entry.entry).chars(160)

    @admin.display(description="entry")
    def shown_entry(self, entry: OutboxEntry) -> SafeString:
        return pretty_json(entry.entry)
