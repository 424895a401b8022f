"""What a browser may do with our pages: Content Security Policy (Level 3) and Permissions Policy.

Nothing comes from elsewhere, nothing is framed, and no page has a script of its own in its text. Two concessions:
unfold's admin evaluates the expressions in its attributes (Alpine.js), and has its colours in a style element; Swagger
UI draws with style attributes. Both are limited to their pages.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = "Content-Security-Policy"

_NOTHING = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
CONSOLE = f"{_NOTHING}; form-action 'none'; style-src 'self'; img-src data:"
DOCUMENTATION = (
    f"{_NOTHING}; form-action 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; script-src 'self'; "
    "style-src 'self'; style-src-attr 'unsafe-inline'"
)
ADMIN = (
    f"{_NOTHING}; form-action 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; "
    "script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
)
POLICIES = {"/admin/": ADMIN, "/api/v1/docs": DOCUMENTATION}
"""By how an address begins; the strictest, CONSOLE, for all others."""

NO_FEATURES = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class PagePolicy:
    """Middleware that tells browsers, with every page, what it may do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault(POLICY, policy_of(request.path))
        response.headers.setdefault("Permissions-Policy", NO_FEATURES)
        return response


def policy_of(path: str) -> str:
    """The Content Security Policy of a page."""
    return next((policy for begin, policy in POLICIES.items() if path.startswith(begin)), CONSOLE)
