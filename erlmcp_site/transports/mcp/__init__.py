"""The Model Context Protocol at `/mcp`: both eras on one address, over the same pipeline and hub as everything else.

`endpoint` is the door, `modern` the leg of 2026-07-28, `kernel` what is the SDK's, `exchange` one request under way,
and `handlers` what each MCP method asks of the pipeline.
"""
