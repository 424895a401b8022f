"""The application, as Django knows it."""

from django.apps import AppConfig


class FixtureConfig(AppConfig):
    name = "tests.mcp.fixture_app"
    label = "mcp_fixtures"
