"""Real parts for tests: PostgreSQL, Redis, nodes of erlmcp as processes, and clients that speak to them."""
