"""The revisions of MCP that are spoken here, and the era that each belongs to."""

from typing import Final

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

VERSION_HEADER: Final = "mcp-protocol-version"
SESSION_HEADER: Final = "mcp-session-id"

LEGACY: Final = frozenset({"2025-03-26", "2025-06-18", "2025-11-25"})
"""Revisions with a handshake, a session and a stream of its own; 2024-11-05 had another transport."""

NEWEST_LEGACY: Final = "2025-11-25"
MODERN: Final = tuple(MODERN_PROTOCOL_VERSIONS)
"""Revisions whose requests each stand for themselves."""

assert set(HANDSHAKE_PROTOCOL_VERSIONS) >= LEGACY


def is_legacy(version: str | None) -> bool:
    """Whether a request is of the era of sessions: its MCP-Protocol-Version names one of its revisions, or none."""
    return version is None or version in LEGACY
