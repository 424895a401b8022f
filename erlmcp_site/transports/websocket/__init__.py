"""The WebSocket transport: JSON-RPC 2.0 calls in, answers and events out (contract §5)."""
