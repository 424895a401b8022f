"""MCP at `/mcp`, by the rows of the design page and by real clients."""
