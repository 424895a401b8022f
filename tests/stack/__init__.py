"""Real parts for tests: PostgreSQL, Redis, nodes of erlmcp as processes, and clients that speak to them."""

import os

# tests start processes while gRPC's threads run; its handlers for forks are of no use to what is executed then
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
