"""The era of sessions: 2025-03-26 to 2025-11-25, where any worker serves any request (design page mcp.md, R5).

`door` tells the verbs of HTTP apart, `handshakes` keeps with our sessions what clients have said in `initialize`,
`posted` reads what they post, `served` runs requests.
"""
