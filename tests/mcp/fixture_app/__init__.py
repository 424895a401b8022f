"""An application of tests only: the tools, resources and prompts that the conformance suite of MCP asks for by name."""
