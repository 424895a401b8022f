"""The first page: what runs here, and where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """A page that needs nothing but itself: no script, no font, no image from elsewhere."""
    origin = request.build_absolute_uri("/").rstrip("/")
    response = render(request, "erlmcp_site/console.html", {"origin": origin})
    response["Content-Security-Policy"] = POLICY
    return response
