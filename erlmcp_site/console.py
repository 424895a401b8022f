"""The first page: what runs here, and where."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """A page that needs nothing but its own style: no script, no font, no image from elsewhere."""
    origin = request.build_absolute_uri("/").rstrip("/")
    return render(request, "erlmcp_site/console.html", {"origin": origin, "grpc": _grpc_address(request)})


def _grpc_address(request: HttpRequest) -> str | None:
    """Where gRPC is answered to whoever sees this page; None: nowhere.

    In production a proxy ends TLS, and tells gRPC by its media type from what else comes to its address.
    """
    if settings.GRPC_PORT is None:
        return None
    host = request.get_host()
    return host if settings.PRODUCTION else f"{split_domain_port(host)[0]}:{settings.GRPC_PORT}"
