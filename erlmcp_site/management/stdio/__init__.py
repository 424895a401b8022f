"""A bridge from standard input and output to `/mcp`, for clients of MCP that only start processes."""
