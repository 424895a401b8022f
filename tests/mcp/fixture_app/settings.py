"""The settings of nodes that the conformance suite asks; the application comes first, so that its commands count."""

from tests.stack.settings import *  # noqa: F403
from tests.stack.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = ["tests.mcp.fixture_app.apps.FixtureConfig", *OURS]
