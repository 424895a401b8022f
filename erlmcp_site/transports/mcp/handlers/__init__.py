"""What each method of MCP asks of the pipeline: thin adapters, registered with the SDK's kernel."""

from erlmcp_site.transports.mcp.handlers import discovery, prompts, resources, rounds, sessions, templates, tools


def register() -> None:
    """Put every handler into the kernel's registry."""
    for part in (discovery, resources, templates, prompts, rounds, sessions, tools):
        part.register()
