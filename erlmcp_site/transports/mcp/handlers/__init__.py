"""What each method of MCP asks of the pipeline: thin adapters, registered with the SDK's kernel."""

from erlmcp_site.transports.mcp.handlers import discovery, resources, rounds, sessions, tools


def register() -> None:
    """Put every handler into the kernel's registry."""
    for part in (discovery, resources, rounds, sessions, tools):
        part.register()
