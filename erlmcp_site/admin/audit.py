"""Pages of the trail and of what waits to reach it. Nothing can be changed here, and whoever looks leaves an entry."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from audit_app.errors import Refusal
from audit_app.exports import EXPORTS, Export
from audit_app.models import AuditEntry, OutboxEntry, Trail
from audit_app.queries import holding
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.looks import leave_look
from erlmcp_site.admin.pages import Page, pretty_json
from erlmcp_site.admin.trail_filters import (
    ActionFilter,
    FirstPages,
    PeriodFilter,
    ResourceFilter,
    TransportFilter,
    UserFilter,
)
from erlmcp_site.admin.trail_parts import chain_part, related_part

MAX_FIELDS, MAX_CHARACTERS = 20, 2048


class AuditedPage(Page):
    """A page of entries: whoever looks, or is not let in, leaves one, as with `audit/list`."""

    view_needs = "audit:read"
    noun: ClassVar[str]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        told = {"looked_at": self.noun, "filters": filters_of(request)}
        return self.recorded(request, told) or super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        told = {"looked_at": self.noun, "entry": object_id or ""}
        return self.recorded(request, told) or super().changeform_view(request, object_id, form_url, extra_context)

    def recorded(self, request: HttpRequest, told: Mapping[str, Any]) -> HttpResponse | None:
        """Leave the entry of a look, or the answer when it cannot be left.

        Raises PermissionDenied, with an entry as well, when the user may not look.
        """
        try:
            leave_look(request, "audit/list", "audit", is_allowed=self.has_view_permission(request), told=told)
        except Refusal as unrecorded:
            return HttpResponse(unrecorded.message, status=503, content_type="text/plain")
        return None


@admin.register(AuditEntry)
class AuditEntryPage(AuditedPage):
    """The trail, the newest entry first."""

    noun = "trail"
    list_display = ("sequence", "moment", "queue", "who", "what", "end", "resource", "source_ip", "transport")
    list_display_links = ("sequence", "moment")
    list_filter = (
        UserFilter,
        ActionFilter,
        ResourceFilter,
        ("timestamp", PeriodFilter),
        "queue",
        "outcome",
        TransportFilter,
    )
    list_filter_submit = True
    list_before_template = "erlmcp_site/trail_list.html"
    sortable_by = ("sequence", "moment")
    search_fields = ("user", "action", "resource_id", "id", "session_id", "request_id")
    search_help_text = "A whole user name, action, URI (or all below it: /*), or id of an entry, session or request"
    ordering = ("-timestamp", "-sequence")
    paginator = FirstPages
    show_facets = admin.ShowFacets.NEVER
    export_formats = tuple(EXPORTS)
    fieldsets = (
        (None, {"fields": ("id", "sequence", "moment", "queue", "related")}),
        ("What", {"fields": ("action", "outcome", "code", "resource_type", "shown_resource", "shown_details")}),
        ("Who", {"fields": ("shown_user", "user_id", "session_id")}),
        ("From where", {"fields": ("transport", "source_ip", "shown_agent", "request_id")}),
        ("Chain", {"fields": ("prev_hash", "hash", "chain")}),
    )

    @admin.display(description="time (UTC)", ordering="timestamp")
    def moment(self, entry: AuditEntry) -> str:
        return entry.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    @admin.display(description="user")
    def who(self, entry: AuditEntry) -> SafeString:
        return short(entry.user, 20)

    @admin.display(description="action")
    def what(self, entry: AuditEntry) -> SafeString:
        return short(entry.action, 24)

    @admin.display(description="outcome")
    def end(self, entry: AuditEntry) -> str:
        return f"{entry.outcome}: {entry.code}" if entry.code else entry.outcome

    @admin.display(description="resource")
    def resource(self, entry: AuditEntry) -> SafeString:
        return short(entry.resource_id, 40)

    @admin.display(description="resource id")
    def shown_resource(self, entry: AuditEntry) -> SafeString:
        return whole(entry.resource_id)

    @admin.display(description="user")
    def shown_user(self, entry: AuditEntry) -> SafeString:
        return whole(entry.user)

    @admin.display(description="user agent")
    def shown_agent(self, entry: AuditEntry) -> SafeString:
        return whole(entry.user_agent)

    @admin.display(description="details")
    def shown_details(self, entry: AuditEntry) -> SafeString:
        return pretty_json(entry.details)

    @admin.display(description="other entries")
    def related(self, entry: AuditEntry) -> SafeString:
        return related_part(entry)

    @admin.display(description="around it")
    def chain(self, entry: AuditEntry) -> SafeString:
        return chain_part(entry)

    def trail_key(self, row: AuditEntry) -> str:
        return row.resource_id or row.user

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Whole values, because those are what the trail's indexes find."""
        term = search_term.strip()
        return (holding(cast(Trail, queryset), term) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/<slug:format>/", view, name="audit_app_auditentry_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:
        """Everything that the present filters choose, as a file, with an entry that tells of it."""
        if format not in EXPORTS:
            raise Http404
        if not self.has_view_permission(request):
            leave_look(request, "audit/export", "audit", is_allowed=False)
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseBadRequest("A filter has a value that it cannot have.", content_type="text/plain")
        try:
            export = Export.of(cast(Trail, rows), format)
            export.record(entry_for(request, "audit/export", "audit", ""), {"filters": filters_of(request)})
        except Refusal as unrecorded:
            return HttpResponse(unrecorded.message, status=503, content_type="text/plain")
        answer = StreamingHttpResponse(export.stream(), content_type="application/octet-stream")
        name = f"trail-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{format}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


@admin.register(OutboxEntry)
class OutboxEntryPage(AuditedPage):
    """Entries that wait to be moved to the trail; normally there are none older than a second or two."""

    noun = "outbox"
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


def filters_of(request: HttpRequest) -> Mapping[str, str]:
    """What was asked for, as far as an entry tells it."""
    return {name: str(value)[:MAX_CHARACTERS] for name, value in list(request.GET.items())[:MAX_FIELDS]}


def whole(text: str) -> SafeString:
    """A text of any length, in lines."""
    return format_html('<span style="overflow-wrap: anywhere">{}</span>', text)


def short(text: str, characters: int) -> SafeString:
    """The beginning of a text; all of it shows where the pointer rests."""
    return format_html('<span title="{}">{}</span>', text, Truncator(text).chars(characters))
