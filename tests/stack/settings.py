"""The settings of nodes in tests: the product's, except for what a password costs to hash."""

from erlmcp_site.settings import *  # noqa: F403

PASSWORD_HASHERS = ["tests.stack.hashing.QuickHasher"]
