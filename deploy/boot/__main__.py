"""Boot two nodes, PostgreSQL, Redis, Celery and the gateway on this machine, until Ctrl-C."""

import argparse
import getpass
import grp
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from deploy.boot.processes import Failed, Running, succeeds
from deploy.boot.programs import PROGRAMS
from deploy.boot.services import COMPOSE, Service, Unset, read_services

PORTS = (
    *("GATEWAY_PORT", "WEB1_PORT", "WEB2_PORT", "WEB1_GRPC_PORT", "WEB2_GRPC_PORT"),
    *("POSTGRES_PORT", "REDIS_PORT", "GATEWAY_PLAIN_PORT", "GATEWAY_STATUS_PORT"),
)
HAPROXY = COMPOSE.parents[1] / "haproxy" / "haproxy.cfg"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_SECONDS = 120
LOGIN = '{"username": "alice", "password": "…"}'
USER = re.compile(r"(admin|alice|bob) \S+")


class Told(BaseException):
    """A signal says that it is time to end."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 when a signal has come and everything has ended, 1 when something did not come up."""
    parser = argparse.ArgumentParser(prog="deploy.boot", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=18000, help="the first of some that are listened on; 0: free ones (18000)"
    )
    parser.add_argument("--folder", type=Path, help="where data and logs stay; else a new one, which goes in the end")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all processes of ours"
    )
    options = parser.parse_args(arguments)
    # data, secrets, and the first users' passwords in a log
    os.umask(0o077)
    folder = options.folder.resolve() if options.folder else Path(tempfile.mkdtemp(prefix="erlmcp-boot-"))
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL may run as somebody else, who has to get to its own
    folder.chmod(0o755)
    started: list[Running] = []
    for number in SIGNALS:
        signal.signal(number, _end)
    try:
        variables = _variables(folder, options.port)
        settings = dict(one.split("=", 1) for one in options.set)
        for service in read_services(variables):
            _start(_running(service, variables, settings, folder), started)
        _tell(variables, folder)
        while True:
            _keep(started)
    except Told:
        return 0
    except (Failed, Unset) as error:
        _say(str(error))
        return 1
    finally:
        _stop(started)
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, frame: FrameType | None) -> None:
    for again in SIGNALS:
        signal.signal(again, signal.SIG_IGN)
    raise Told


def _variables(folder: Path, base: int) -> dict[str, str]:
    """What compose.yaml leaves to the operator, for this machine."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS] if base == 0 else []
    ports = [one.getsockname()[1] for one in taken] or range(base, base + len(PORTS))
    for one in taken:
        one.close()
    port = dict(zip(PORTS, map(str, ports), strict=True))
    here = {name: f"127.0.0.1:{number}" for name, number in port.items()}
    variables = port | {
        "WEB_HOST": "127.0.0.1",
        "POSTGRES_ADDRESS": here["POSTGRES_PORT"],
        "REDIS_ADDRESS": here["REDIS_PORT"],
        "POSTGRES_PASSWORD": _secret(folder / "postgres_password"),
        "SECRET_KEY": _secret(folder / "secret_key"),
        "VAR_DIR": str(folder / "var"),
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "GATEWAY_ADDRESS": here["GATEWAY_PORT"],
        "GATEWAY_CONFIGURATION": str(HAPROXY),
        "GATEWAY_CERTIFICATE": str(folder / "gateway.pem"),
        "GATEWAY_HTTPS": here["GATEWAY_PORT"],
        "GATEWAY_HTTP": here["GATEWAY_PLAIN_PORT"],
        "GATEWAY_PUBLIC_PORT": port["GATEWAY_PORT"],
        "GATEWAY_STATUS": here["GATEWAY_STATUS_PORT"],
    }
    for number in "12":
        variables[f"GATEWAY_NODE{number}"] = here[f"WEB{number}_PORT"]
        variables[f"GATEWAY_NODE{number}_GRPC"] = here[f"WEB{number}_GRPC_PORT"]
    if os.geteuid() != 0:
        # only root becomes somebody else
        variables["GATEWAY_USER"] = getpass.getuser()
        variables["GATEWAY_GROUP"] = grp.getgrgid(os.getegid()).gr_name
    return variables


def _secret(path: Path) -> str:
    if not path.exists():
        path.touch(0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


def _running(service: Service, variables: Mapping[str, str], settings: Mapping[str, str], folder: Path) -> Running:
    if not service.is_ours:
        return PROGRAMS[service.name](service, variables[f"{service.name.upper()}_ADDRESS"], folder)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**service.environment, **settings, "PATH": path, "LANG": "C.UTF-8", "HOME": str(folder)}
    is_ready = partial(succeeds, service.ready, environment) if service.ready else lambda: True
    return Running(service, service.command, environment, is_ready, folder / f"{service.name}.log")


def _start(running: Running, started: list[Running]) -> None:
    started.append(running)
    running.start()
    running.await_ready(START_SECONDS)
    _say(f"{running.service.name} {'has done its work' if running.service.is_job else f'is up (pid {running.pid})'}")


def _keep(started: Sequence[Running]) -> None:
    """Start again what has ended and should not have, after a pause."""
    # what has just died is not started again at once, or it would be all the time
    time.sleep(1)
    for running in started:
        status = running.status
        if status is not None and running.service.restarts and not running.service.is_job:
            _say(f"{running.service.name} ended with status {status}; it is started again")
            running.start()


def _tell(variables: Mapping[str, str], folder: Path) -> None:
    url = f"https://localhost:{variables['GATEWAY_PORT']}"
    for line in (folder / "migrate.log").read_text().splitlines():
        if USER.fullmatch(line):
            _show(line)
    for name in ("WEB1_PORT", "WEB2_PORT"):
        _say(f"a node at http://{variables['WEB_HOST']}:{variables[name]}, for the gateway")
    _say(f"log in: curl --cacert {folder / 'trusted.pem'} {url}/api/v1/auth/login --json '{LOGIN}'")
    _say(f"logs are in {folder}")
    _say(f"ready at {url}")


def _stop(started: Sequence[Running]) -> None:
    """End everything; who others need ends after them. Who finishes what is open is told first, and waited for last."""
    _say("stopping")
    left = list(started)
    while left:
        needed = {name for running in left for name in running.service.after}
        free = [running for running in left if running.service.name not in needed]
        for running in free:
            running.tell_to_end()
        for running in free:
            if not running.service.finishes:
                _await_end(running)
        left = [running for running in left if running not in free]
    for running in started:
        if running.service.finishes:
            _await_end(running)
    _say("stopped")


def _await_end(running: Running) -> None:
    if not running.await_end():
        _say(f"{running.service.name} was ended by force")


def _say(text: str) -> None:
    _show(f"boot: {text}")


def _show(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # people read it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
