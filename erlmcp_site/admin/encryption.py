"""A page that shows what is encrypted, by which keys, and how far a re-encryption is; settings say what is."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from encryption_app.status import status
from erlmcp_site.admin.looks import leave_look
from erlmcp_site.admin.pages import may


def encryption(request: HttpRequest) -> HttpResponse:
    """The page. Whoever looks leaves an entry; raises PermissionDenied for those who may not."""
    leave_look(request, "encryption/status", "encryption", is_allowed=may(request, "audit:read"))
    shown = {"title": "Encryption", "seconds": settings.ENCRYPTION_KEY_CACHE_SECONDS} | status()
    return TemplateResponse(request, "erlmcp_site/encryption.html", admin.site.each_context(request) | shown)
