"""`manage.py web` with the tools of the suite, and the token shim around the application."""

from typing import Any

from erlmcp_site.management.commands.web import Command as Web
from erlmcp_site.methods.tools.registry import register
from erlmcp_site.serving import web
from tests.mcp.fixture_app.rounds import ROUNDS
from tests.mcp.fixture_app.shim import with_token
from tests.mcp.fixture_app.tools import TOOLS


class Command(Web):
    def handle(self, *args: Any, **options: Any) -> None:
        register(*TOOLS, *ROUNDS)
        web.application = with_token(web.application)  # type: ignore[attr-defined]
        super().handle(*args, **options)
