"""The first page: what runs here, and where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """A page that needs nothing but its own style: no script, no font, no image from elsewhere."""
    origin = request.build_absolute_uri("/").rstrip("/")
    return render(request, "erlmcp_site/console.html", {"origin": origin})
