"""The log of changes, to be looked at."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit_app.errors import Refusal
from erlmcp_site.admin.contents import event_text
from erlmcp_site.admin.pages import Page, pretty_json, readable_by
from resources_app.models import Event


@admin.register(Event)
class EventPage(Page):
    """Every change that the log still keeps, the newest first."""

    view_needs = "resources:read"
    list_display = ("offset", "time", "type", "uri", "version")
    list_filter = ("type",)
    search_fields = ("uri",)
    search_help_text = "A whole URI"
    ordering = ("-offset",)
    fields = ("offset", "time", "type", "uri", "version", "shown_event")

    @admin.display(description="event")
    def shown_event(self, event: Event) -> SafeString:
        try:
            return pretty_json(event_text(event))
        except Refusal as refusal:
            return format_html("<p>{}</p>", refusal.message)

    def trail_key(self, row: Event) -> str:
        return row.uri

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        rows: QuerySet[Event] = super().get_queryset(request)
        return rows.filter(readable_by(request)).defer("body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        return (queryset.filter(uri=term) if term else queryset), False
