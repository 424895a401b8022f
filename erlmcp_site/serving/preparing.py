"""What has to be there before anything is served: schemas, a signing key, users."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.db import connections

from audit_app.commands import Record
from audit_app.system import system_entry
from audit_app.writer import writer
from erlmcp_site.demo.loading import load_demo
from erlmcp_site.serving.first_users import make_first_users
from erlmcp_site.serving.migrating import migrate_databases
from sessions_app.keys import ensure_signing_key


def prepare(say: Callable[[str], None], show: Callable[[str], None]) -> dict[str, str]:
    """Bring the databases up; the first users' passwords if they were made now. Whoever does so at once takes turns.

    `say` is given lines that tell, `show` those with passwords. Leaves neither threads nor connections behind, so that
    child processes can be started.
    """
    applied = migrate_databases(say)
    if applied:
        writer.run(Record(entry=system_entry("node/migrations", "database"), details=applied))
    ensure_signing_key()
    passwords = make_first_users()
    if passwords:
        say("the first users, with passwords that are not shown again:")
        for name, password in passwords.items():
            show(f"{name} {password}")
        if settings.DEMO:
            say(f"loaded {load_demo()} demo resources (remove them: python manage.py demo --remove)")
    writer.close()
    for connection in connections.all(initialized_only=True):
        connection.close()
        if connection.vendor == "postgresql":
            cast(Any, connection).close_pool()
    return passwords
