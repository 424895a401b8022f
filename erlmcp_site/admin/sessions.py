"""Pages of sessions, token families and signing keys: look, suspend, resume, close, revoke."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit_app.writer import writer
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.pages import Page, PipelinePage, pretty_json
from erlmcp_site.admin.requests import demand
from sessions_app.families import RevokeFamily
from sessions_app.models import ApiKey, Session, SigningKey, TokenFamily


@admin.register(Session)
class SessionPage(PipelinePage):
    """Everybody's sessions of the backend `database`. Deleting one closes it."""

    view_needs = "sessions:admin"
    delete_needs = "sessions:admin"
    list_display = ("id", "user", "state", "reason", "client_id", "label", "last_active_at")
    list_filter = ("state", "reason")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "client_id", "label")
    search_help_text = "Part of an id, a user's name, a client or a label"
    ordering = ("-last_active_at",)
    deleting = ("sessions/close", "session")
    actions = ("suspend", "resume")
    fieldsets = (
        (None, {"fields": ("id", "user", "family", "client_id", "label", "shown_metadata")}),
        ("State", {"fields": ("state", "reason", "position", "created_at", "last_active_at")}),
    )

    @admin.display(description="metadata")
    def shown_metadata(self, session: Session) -> SafeString:
        return pretty_json(session.metadata)

    @admin.action(description="Suspend the selected sessions", permissions=["delete"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._ask_for_each(request, "sessions/suspend", queryset)

    @admin.action(description="Resume the selected sessions", permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._ask_for_each(request, "sessions/resume", queryset)

    @staticmethod
    def _ask_for_each(request: HttpRequest, method: str, rows: Any) -> None:
        for row in rows:
            demand(request, method, {"session": row.pk})


@admin.register(TokenFamily)
class TokenFamilyPage(PipelinePage):
    """Logins and the tokens that came out of them. Deleting one revokes it; its row goes a day after its last token."""

    view_needs = "sessions:admin"
    delete_needs = "sessions:admin"
    list_display = ("id", "user", "created_at", "rotated_at", "revoked_at", "expires_at")
    list_filter = ("created_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "session_id")
    search_help_text = "Part of an id, a user's name, or the id of a session"
    ordering = ("-created_at",)
    fields = ("id", "user", "session_id", "created_at", "rotated_at", "revoked_at", "expires_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TokenFamily]:
        """Those of logins; API keys have a page of their own."""
        rows: QuerySet[TokenFamily] = super().get_queryset(request)
        return rows.exclude(id__in=ApiKey.objects.values("id"))

    def delete_rows(self, request: HttpRequest, rows: Sequence[Model]) -> None:
        for row in rows:
            entry = entry_for(request, "auth/revoke", "family", str(row.pk))
            writer.run(RevokeFamily(family=str(row.pk), why="revoked by an admin", entry=entry))


@admin.register(SigningKey)
class SigningKeyPage(Page):
    """The keys that sign tokens; their private halves are shown to nobody."""

    view_needs = "sessions:admin"
    list_display = ("kid", "number", "algorithm", "created_at", "retired_at")
    ordering = ("-number",)
    fields = ("kid", "number", "algorithm", "created_at", "retired_at", "shown_jwk")

    @admin.display(description="public key")
    def shown_jwk(self, key: SigningKey) -> SafeString:
        return pretty_json(key.jwk)
