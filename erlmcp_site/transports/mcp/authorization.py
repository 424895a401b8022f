"""What a client has to show, and where it learns how to get it (MCP authorization, RFC 9728, RFC 6750)."""

from typing import Final
from urllib.parse import urlsplit

import orjson
from django.conf import settings

from audit_app.errors import Refusal
from erlmcp_site.transports.http.answers import NO_STORE, Answer, position_headers
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.views import only_get
from resources_app.hub.hub import hub
from sessions_app.errors import OutOfScope
from sessions_app.permissions import ALL

METADATA: Final = "/.well-known/oauth-protected-resource"
PATH: Final = "/mcp"

BEGINNING: Final = "resources:read resources:subscribe"
"""The scopes that a client is told to begin with; what needs more says so when it is asked for."""


def resource_url(incoming: Incoming) -> str:
    """The canonical URL of this service as a protected resource: MCP_RESOURCE_URL, or as the client has reached it."""
    told: str = settings.MCP_RESOURCE_URL
    return told or f"{incoming.scope.get('scheme', 'http')}://{incoming.headers.get('host', '')}{PATH}"


def challenge(answer: Answer, refusal: Refusal, incoming: Incoming) -> Answer:
    """The answer, with a WWW-Authenticate that says what is missing."""
    metadata = f'resource_metadata="{_origin(incoming)}{METADATA}{PATH}"'
    if isinstance(refusal, OutOfScope):
        told = ['error="insufficient_scope"', f'scope="{refusal.data["scope"]}"', metadata]
    else:
        error = ['error="invalid_token"'] if incoming.token else []
        told = [*error, metadata, f'scope="{BEGINNING}"']
    answer.headers = [header for header in answer.headers if header[0] != b"www-authenticate"]
    answer.headers.append((b"www-authenticate", f"Bearer {', '.join(told)}".encode("latin-1")))
    return answer


@only_get
async def metadata(incoming: Incoming) -> Answer:
    """Who gives out tokens for this service, and which scopes there are (RFC 9728)."""
    document = {
        "resource": resource_url(incoming),
        "authorization_servers": list(settings.TRUSTED_ISSUERS) or [_origin(incoming)],
        "scopes_supported": sorted(ALL),
        "bearer_methods_supported": ["header"],
        "resource_name": "erlmcp",
    }
    return Answer(200, [NO_STORE, *position_headers(incoming.id, hub.position)], orjson.dumps(document))


def _origin(incoming: Incoming) -> str:
    parts = urlsplit(resource_url(incoming))
    return f"{parts.scheme}://{parts.netloc}"
