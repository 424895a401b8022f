"""The live view: how the service does, from the same snapshot that callers of the API get."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from erlmcp_site.admin.requests import ask
from sessions_app.errors import Forbidden
from telemetry_app.panels import age, panels

RELOAD_SECONDS = 2
"""The page loads itself again, which needs no script."""


def live(request: HttpRequest) -> HttpResponse:
    """The page. Raises PermissionDenied for those who may not read telemetry, and what else the pipeline refuses."""
    reply = ask(request, "telemetry/snapshot", {})
    if isinstance(reply.refusal, Forbidden):
        raise PermissionDenied
    if reply.refusal is not None:
        raise reply.refusal
    snapshot: Any = reply.result
    topics = [topic | {"waits": age(topic["waiting_seconds"])} for topic in snapshot["slow_topics"]]
    shown = {
        "reload_seconds": RELOAD_SECONDS,
        "status": snapshot["health"]["status"],
        "checks": sorted(snapshot["health"]["checks"].items()),
        "panels": list(panels(snapshot["figures"])),
        "topics": topics,
    }
    return render(request, "erlmcp_site/live.html", shown)
