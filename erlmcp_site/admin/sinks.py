"""Pages of the sinks of the trail: how they fare, and pausing, resuming and replaying them."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from audit_app.errors import Refusal
from audit_app.models import DeadLetter, Sink
from audit_app.sinks.actions import ACTION, pause, replay, resume
from audit_app.sinks.measures import lag_of
from audit_app.sinks.state import state_of
from audit_app.trail import Entry
from erlmcp_site.admin.audit import short, whole
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.pages import Page, Untransacted, told


class SinkForm(forms.ModelForm):
    """All that a form changes of a sink is where it delivers from.

    That is done at the end of the validation, because the trail and the writer have a say in it. `replay` comes from
    the page.
    """

    replay: ClassVar[Callable[[Sink, int], None]]

    first = forms.IntegerField(
        label="Replay from",
        required=False,
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Deliver from this entry on, again or for the first time. Receivers tell repeats by their ids.",
    )

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors and self.cleaned_data["first"] is not None:
            try:
                type(self).replay(self.instance, self.cleaned_data["first"])
            except Refusal as refusal:
                self.add_error("first", told(refusal))


@admin.register(Sink)
class SinkPage(Page, Untransacted):
    """A sink has a row as soon as a worker has looked at it; one that AUDIT_SINKS names no more keeps it."""

    view_needs = "audit:read"
    change_needs = "access:admin"
    form = SinkForm
    list_display = ("name", "where", "state", "cursor", "lag", "waiting", "delivered", "dead_letters", "trouble")
    ordering = ("name",)
    actions = ("pause", "resume")
    readonly_fields = (
        *("name", "where", "state", "cursor", "lag", "waiting", "delivered", "delivered_at", "dead_letters"),
        *("failures", "failures_in_a_row", "failed_at", "last_error", "replays"),
    )

    @admin.display(description="receiver")
    def where(self, sink: Sink) -> str:
        target = settings.AUDIT_SINKS.get(sink.name)
        return f"{target.where} ({target.format})" if target else "not in AUDIT_SINKS"

    @admin.display(description="last error")
    def trouble(self, sink: Sink) -> str:
        return Truncator(sink.last_error).chars(60)

    @admin.display(description="state")
    def state(self, sink: Sink) -> str:
        return state_of(sink)

    @admin.display(description="lag in entries")
    def lag(self, sink: Sink) -> int:
        return lag_of(sink.cursor).entries

    @admin.display(description="lag in seconds")
    def waiting(self, sink: Sink) -> float:
        return round(lag_of(sink.cursor).seconds, 1)

    @admin.display(description="dead letters")
    def dead_letters(self, sink: Sink) -> int:
        return DeadLetter.objects.filter(sink=sink.name).count()

    def get_fields(self, request: HttpRequest, obj: Sink | None = None) -> Any:
        """The field of the form is for those who may use it."""
        return [*self.readonly_fields, "first"] if self.has_change_permission(request, obj) else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Sink | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.replay = lambda sink, first: replay(sink.name, first, self._entry(request, sink))
        return form

    @admin.action(description="Pause the selected sinks", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Sink]) -> None:
        self._act_on_each(request, queryset, pause)

    @admin.action(description="Resume the selected sinks", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Sink]) -> None:
        self._act_on_each(request, queryset, resume)

    def save_model(self, request: HttpRequest, obj: Sink, form: Any, change: bool) -> None:
        """The form has done it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing related."""

    def _act_on_each(self, request: HttpRequest, sinks: QuerySet[Sink], action: Callable[[str, Entry], None]) -> None:
        for sink in sinks:
            try:
                action(sink.name, self._entry(request, sink))
            except Refusal as refusal:
                self.message_user(request, told(refusal), messages.ERROR)
                return

    @staticmethod
    def _entry(request: HttpRequest, sink: Sink) -> Entry:
        return entry_for(request, ACTION, "sink", sink.name)


@admin.register(DeadLetter)
class DeadLetterPage(Page):
    """Entries that a receiver would not take. Replaying a sink from there on gives them another chance."""

    view_needs = "audit:read"
    list_display = ("sink", "sequence", "entry", "why", "at")
    list_filter = ("sink",)
    ordering = ("-sequence",)
    search_fields = ("entry",)
    search_help_text = "A whole id of an entry"
    fields = ("sink", "sequence", "entry", "whole_reason", "at")

    @admin.display(description="reason")
    def why(self, letter: DeadLetter) -> SafeString:
        return short(letter.reason, 60)

    @admin.display(description="reason")
    def whole_reason(self, letter: DeadLetter) -> SafeString:
        return whole(letter.reason)

    def trail_key(self, row: DeadLetter) -> str:
        return row.entry

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip()
        return (queryset.filter(entry=term) if term else queryset), False
