"""A backup of both databases and of the second place, while everything goes on.

No snapshot spans two databases, so the order makes up for it. The main database comes first: an entry that it has in
the outbox may have been moved by the time of the trail's copy, and the mover adds none twice. The other way around,
what is moved between the two copies would be in neither. The second place comes before the trail, for it must not know
of checkpoints that the trail does not have.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from audit_app.chain.second_place import SecondPlace
from erlmcp_site.databases import AUDIT, SQLITE

PLACE = ("HOST", "PORT", "NAME")
FOR_LIBPQ = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "NAME": "PGDATABASE"}
TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


class BackupFailed(Exception):
    """There is no backup; the message says why."""


def back_up(folder: Path) -> list[Path]:
    """Copy everything into a new folder that only its owner may enter. Returns the files, in the order of their making.

    An audit database that is a schema of the main one is in the same copy. Raises BackupFailed and OSError.
    """
    folder.mkdir(mode=0o700, parents=True)
    main, trail = settings.DATABASES[DEFAULT_DB_ALIAS], settings.DATABASES[AUDIT]
    made = [_copied(main, folder / "main")]
    second = SecondPlace(settings.AUDIT_CHECKPOINT_FILE)
    made += [Path(shutil.copy2(path, folder)) for path in (second.path, second.keys_path) if path.exists()]
    if [main[part] for part in PLACE] != [trail[part] for part in PLACE]:
        made.append(_copied(trail, folder / "audit"))
    for path in (*made, folder):
        _sync(path)
    return made


def _copied(database: Mapping[str, Any], path: Path) -> Path:
    if database["ENGINE"] == SQLITE:
        return _vacuumed(database["NAME"], path.with_suffix(".sqlite3"))
    return _dumped(database, path.with_suffix(".dump"))


def _vacuumed(source: str, path: Path) -> Path:
    """A copy of a SQLite file as it is at one moment; writers are not kept waiting."""
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20)) as connection:
            connection.execute("VACUUM INTO ?", [str(path)])
    except sqlite3.Error as error:
        raise BackupFailed(f"{source}: {error}") from error
    return path


def _dumped(database: Mapping[str, Any], path: Path) -> Path:
    """What `pg_dump` makes of a PostgreSQL database as it is at one moment, for `pg_restore`."""
    told = {variable: str(database[name]) for name, variable in FOR_LIBPQ.items() if database.get(name)}
    told |= {f"PG{name.upper()}": str(value) for name in TLS if (value := database.get("OPTIONS", {}).get(name))}
    # the password goes along where others cannot see it, as they can the arguments
    command = ["pg_dump", "--format=custom", "--no-owner", f"--file={path}"]
    try:
        done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True)
    except FileNotFoundError:
        raise BackupFailed("pg_dump is not installed; its version has to be the server's, or a later one") from None
    if done.returncode:
        raise BackupFailed(done.stderr.strip())
    return path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
