"""Pages of sessions, token families and signing keys: look, suspend, resume, close, revoke."""

import contextlib
from collections.abc import Sequence
from typing import Any

import orjson
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.pages import Page, PipelinePage, pretty_json
from erlmcp_site.admin.requests import ask_or_raise
from sessions_app.families import RevokeFamily
from sessions_app.models import ApiKey, Session, SigningKey, TokenFamily
from sessions_app.records import SessionRecord
from sessions_app.sealed import open_session
from sessions_app.session_rows import SESSIONS, record_of

CLOSED = "(encrypted, and cannot be opened)"


@admin.register(Session)
class SessionPage(PipelinePage):
    """Everybody's sessions of the backend `database`. Deleting one closes it."""

    view_needs = "sessions:admin"
    delete_needs = "sessions:admin"
    list_display = ("id", "user", "state", "reason", "shown_client", "shown_label", "last_active_at")
    list_filter = ("state", "reason")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "client_id", "label")
    search_help_text = "Part of an id or a user's name; of a client or a label where sessions are not encrypted"
    ordering = ("-last_active_at",)
    deleting = ("sessions/close", "session")
    actions = ("suspend", "resume")
    fieldsets = (
        (None, {"fields": ("id", "user", "shown_family", "shown_client", "shown_label", "shown_metadata")}),
        ("State", {"fields": ("state", "reason", "position", "created_at", "last_active_at")}),
    )

    @admin.display(description="family")
    def shown_family(self, session: Session) -> str:
        return _shown(session, "family")

    @admin.display(description="client id", ordering="client_id")
    def shown_client(self, session: Session) -> str:
        return _shown(session, "client_id")

    @admin.display(description="label", ordering="label")
    def shown_label(self, session: Session) -> str:
        return _shown(session, "label")

    @admin.display(description="metadata")
    def shown_metadata(self, session: Session) -> str:
        record = _record(session)
        return CLOSED if record.is_locked else pretty_json(orjson.dumps(record.metadata))

    @admin.action(description="Suspend the selected sessions", permissions=["delete"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._ask_for_each(request, "sessions/suspend", queryset)

    @admin.action(description="Resume the selected sessions", permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._ask_for_each(request, "sessions/resume", queryset)

    @staticmethod
    def _ask_for_each(request: HttpRequest, method: str, rows: Any) -> None:
        for row in rows:
            ask_or_raise(request, method, {"session": row.pk})


def _shown(session: Session, name: str) -> str:
    record = _record(session)
    return CLOSED if record.is_locked else str(getattr(record, name))


def _record(session: Session) -> SessionRecord:
    """The session with its context, which is opened once a page; locked, where it cannot be opened."""
    found: SessionRecord | None = getattr(session, "_opened", None)
    if found is None:
        found = record_of([getattr(session, column) for column in SESSIONS.columns])
        with contextlib.suppress(Refusal):
            found = async_to_sync(open_session)(found)
        session._opened = found  # type: ignore[attr-defined]
    return found


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
