"""A page that shows what is encrypted, by which keys, and how far a re-encryption is; settings say what is."""

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit_app.commands import Record
from audit_app.errors import Refusal
from audit_app.writer import writer
from encryption_app.status import status
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.policy import NEEDS
from sessions_app.errors import Forbidden


def encryption(request: HttpRequest) -> HttpResponse:
    """The page. Whoever looks leaves an entry; raises PermissionDenied for those who may not."""
    may = request.user.is_active and request.user.has_perm(NEEDS)
    refusal: Refusal | None = None if may else Forbidden()
    writer.run(Record(entry=entry_for(request, "encryption/status", "encryption", ""), refusal=refusal))
    if refusal is not None:
        raise PermissionDenied
    shown = {"title": "Encryption", "seconds": settings.ENCRYPTION_KEY_CACHE_SECONDS} | status()
    return TemplateResponse(request, "erlmcp_site/encryption.html", admin.site.each_context(request) | shown)
