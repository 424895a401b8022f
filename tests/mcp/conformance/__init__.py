"""The conformance suite of MCP (`@modelcontextprotocol/conformance`), run against nodes of ours."""
