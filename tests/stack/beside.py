"""Processes beside the one that tests, on the same databases: some of them are there to be killed."""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable

from django.conf import settings
from django.db import connections


def run_beside(program: str, *arguments: str, within: float = 60) -> list[str]:
    """Run a module as a program that uses the databases of this test. Returns the lines that it wrote.

    Raises CalledProcessError, after its standard error was shown, when it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=within,
        check=True,
    )
    return done.stdout.splitlines()


def in_a_fork(work: Callable[[], object]) -> int:
    """Run `work` in a process of its own. Returns its exit status, or minus the signal that ended it.

    To be called where no thread runs and no connection is open.
    """
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _environment() -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": _url("default"),
        "AUDIT_DATABASE_URL": _url("audit"),
        "SECRET_KEY": settings.SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "erlmcp_site.settings",
        "PYTHONPATH": str(settings.BASE_DIR),
        "PYTHONUNBUFFERED": "1",
    }


def _url(alias: str) -> str:
    database = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = f"{database['USER']}:{database['PASSWORD']}" if database["PASSWORD"] else database["USER"]
    return f"postgres://{login}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
