"""Audit entries of what the admin does past the methods: accounts, token families, its own logins."""

import time

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from uuid_utils import uuid7

from audit_app.trail import Entry
from erlmcp_site.transports.addresses import client_behind

RECORDED = "erlmcp.recorded"
"""In the META of a request that has left an entry, or asked the pipeline, which does."""


def address_of(request: HttpRequest) -> str:
    """The address of the client, behind the proxies that are trusted."""
    forwarded = request.headers.get("X-Forwarded-For")
    return client_behind(
        request.META.get("REMOTE_ADDR", ""), [forwarded] if forwarded else [], settings.TRUSTED_PROXIES
    )


def entry_for(request: HttpRequest, action: str, resource_type: str, resource_id: str) -> Entry:
    """The entry of something that the admin's user does now."""
    request.META[RECORDED] = True
    user = getattr(request, "user", None) or AnonymousUser()
    return Entry(
        timestamp=time.time(),
        action=action,
        transport="admin",
        user_id=str(user.pk or ""),
        user=user.get_username(),
        resource_type=resource_type,
        resource_id=resource_id,
        source_ip=address_of(request),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=str(uuid7()),
    )
