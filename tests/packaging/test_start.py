"""What a process does while it imports, and after it."""

import subprocess
import sys

from tests.stack.node import ROOT

SHOWS = """
import gc
usual = gc.get_threshold()
import erlmcp_site
print(gc.get_threshold()[0] > 10 * usual[0])
import django
django.setup()
print(gc.isenabled(), gc.get_threshold() == usual, gc.get_freeze_count() > 10_000)
"""


def test_garbage_is_looked_for_when_there_is_some() -> None:
    """Hardly while modules are imported, and then as usual, and not among what was imported."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWS],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.stack.settings"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["True", "True", "True", "True"]
