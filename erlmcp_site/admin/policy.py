"""A page that shows what the trail keeps, what is left out of it, and how much waits; settings say all of it."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit_app.redaction import SHAPES
from audit_app.watermark import read_backlog
from erlmcp_site.admin.looks import leave_look
from erlmcp_site.admin.pages import may


def policy(request: HttpRequest) -> HttpResponse:
    """The page. Whoever looks leaves an entry; raises PermissionDenied for those who may not."""
    leave_look(request, "audit/policy", "audit", is_allowed=may(request, "audit:read"))
    shown = {
        "rules": [(rule.method.text, rule.uri.text if rule.uri else "", rule.level) for rule in settings.AUDIT_POLICY],
        "reads": settings.AUDIT_READS,
        "names": settings.AUDIT_REDACT.text.split(","),
        "shapes": SHAPES,
        "max_pending": settings.AUDIT_MAX_PENDING,
        "max_lag_seconds": settings.AUDIT_MAX_LAG_SECONDS,
        "backlog": read_backlog(),
    }
    context = admin.site.each_context(request) | {"title": "Audit policy"} | shown
    return TemplateResponse(request, "erlmcp_site/audit_policy.html", context)
