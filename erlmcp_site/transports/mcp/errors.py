"""What a refusal is in MCP: a code of its own specification, by era, or the contract's where it knows none."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, MISSING_REQUIRED_CLIENT_CAPABILITY

from audit_app.errors import Refusal
from audit_app.redaction import redacted_text
from erlmcp_site.transports.mcp.eras import MODERN
from erlmcp_site.transports.wire import ROWS, error_data

LEGACY_NOT_FOUND: Final = -32002
"""RESOURCE_NOT_FOUND of the revisions up to 2025-11-25; since then it is INVALID_PARAMS."""

NOT_FOUND: Final = "resource_not_found"

OURS: Final = frozenset(
    {"parse_error", "invalid_request", "method_not_found", "rate_limited", "unavailable", "deadline_exceeded"}
)
"""Codes whose numbers MCP uses for the same, or leaves to servers; others mean something else there."""


def mcp_error(refusal: Refusal, request_id: str, version: str) -> MCPError:
    """The error that a client of a revision is told of a refusal."""
    data: dict[str, Any] = error_data(refusal, request_id)
    if refusal.code == NOT_FOUND:
        number = INVALID_PARAMS if version in MODERN else LEGACY_NOT_FOUND
        return MCPError(number, "Resource not found", data)
    if refusal.code in OURS:
        number = ROWS[refusal.code].jsonrpc
    else:
        number = INTERNAL_ERROR if refusal.outcome == "error" else INVALID_PARAMS
    return MCPError(number, redacted_text(refusal.message), data)


def missing_capability(required: Mapping[str, Any], version: str) -> MCPError:
    """The error for a client that has not declared what a request takes. The legacy era has no code for it."""
    number = MISSING_REQUIRED_CLIENT_CAPABILITY if version in MODERN else INVALID_REQUEST
    return MCPError(number, f"The client has to declare {', '.join(required)}", {"requiredCapabilities": required})


def cannot_ask(method: str) -> MCPError:
    """The error for a request that would have to ask the client something, where nobody can."""
    return MCPError(INVALID_REQUEST, f"The client cannot be asked {method} while this request waits")
