"""The admin's pages as the trail sees them: each look at one leaves an entry, and each that was denied."""

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import ResolverMatch

from audit_app.commands import Record
from audit_app.errors import Refusal, Unavailable
from audit_app.failures import passes
from audit_app.queues import Queue, queue_of
from audit_app.watermark import TrailFull, admit
from audit_app.writer import writer
from erlmcp_site.admin.entries import RECORDED, entry_for
from sessions_app.errors import Forbidden

log = logging.getLogger(__name__)

FAMILIES = {
    "auth_user": "access",
    "auth_group": "access",
    "resources_app_resource": "resources",
    "resources_app_event": "events",
    "resources_app_subscription": "subscriptions",
    "sessions_app_accessrule": "access",
    "sessions_app_apikey": "keys",
    "sessions_app_secondfactor": "auth",
    "sessions_app_session": "sessions",
    "sessions_app_tokenfamily": "auth",
    "sessions_app_signingkey": "auth",
    "audit_app_auditentry": "audit",
    "audit_app_outboxentry": "audit",
    "audit_app_sink": "audit",
    "audit_app_deadletter": "audit",
}
LOOKS = {"changelist": "list", "change": "read", "delete": "read"}


class AdminTrail:
    """Middleware of the admin, inside of all others.

    What its forms and actions do leaves entries where it is done; this leaves those of pages that only show something,
    and of every answer 403. Above the watermark nothing but the trail is shown. A page whose entry cannot be kept is
    not shown.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        match = request.resolver_match
        if match is None or match.app_name != "admin" or RECORDED in request.META:
            return response
        denied = response.status_code == 403
        action, kind = _look(match)
        if not denied and (kind is None or response.status_code != 200 or _is_left_out(action)):
            return response
        what = match.kwargs.get("object_id", "") if kind else match.url_name
        entry = entry_for(request, action, kind or "page", str(what))
        try:
            writer.run(Record(entry=entry, refusal=Forbidden() if denied else None))
        except Refusal as unrecorded:
            return _unavailable(unrecorded)
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        if match is not None and match.app_name == "admin":
            if _holds_nul(request, match):
                return HttpResponseBadRequest("An address cannot hold NUL.", content_type="text/plain")
            try:
                admit(_look(match)[0])
            except TrailFull as full:
                return _unavailable(full)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, Unavailable):
            return _unavailable(error)
        if passes(error) and not isinstance(error, Refusal):
            log.error("a page cannot be shown: %s", error)
            return _unavailable(Unavailable())
        return None


def _holds_nul(request: HttpRequest, match: ResolverMatch) -> bool:
    """Whether an address asks for what no database has, and PostgreSQL cannot be asked."""
    asked = [*match.kwargs.values(), *(value for values in request.GET.lists() for value in values[1])]
    return any("\0" in str(value) for value in asked)


def _look(match: ResolverMatch) -> tuple[str, str | None]:
    """(action, model) of a page; a page of no model is only remarkable when it is denied."""
    model, _, page = (match.url_name or "").rpartition("_")
    family = FAMILIES.get(model)
    if family is None or page not in LOOKS:
        return (f"{family}/page" if family else "admin/page"), None
    return f"{family}/{LOOKS[page]}", model.rpartition("_")[2]


def _is_left_out(action: str) -> bool:
    return settings.AUDIT_READS == "off" and queue_of(action, None) is not Queue.SECURITY


def _unavailable(refusal: Refusal) -> HttpResponse:
    seconds = max(1, round(refusal.retry_after or 1))
    return HttpResponse(f"{refusal.message}\n", "text/plain", 503, headers={"Retry-After": str(seconds)})
