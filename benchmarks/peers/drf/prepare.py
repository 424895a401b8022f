"""Makes the peer's tables, its user and its rows: `python -m benchmarks.peers.drf.prepare USER PASSWORD ROWS`."""

import os
import sys

import django
from django.apps import apps
from django.core.management import call_command

from benchmarks.content import content, uri


def main(user: str, password: str, rows: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.drf.settings")
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    apps.get_model("auth", "User").objects.create_user(user, password=password)
    resource = apps.get_model("drf", "Resource")
    resource.objects.bulk_create(
        resource(id=number, uri=uri(number), content=content(number)) for number in range(rows)
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
