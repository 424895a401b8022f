"""Units, compose.yaml and `manage.py serve` start the same processes, each as the program that reads it takes it."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.boot.services import COMPOSE, Service, Unset, filled, read_services
from erlmcp_site.environment import effective_settings
from erlmcp_site.serving.ending import WORKER_SECONDS, serving_seconds
from erlmcp_site.serving.parts import parts_of
from tests.stack.missing import missing
from tests.stack.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
DOCKERFILE = COMPOSE.with_name("Dockerfile")
INSTALLED = "/opt/erlmcp"
OPERATOR = {"SECRET_KEY": "of the operator", "POSTGRES_PASSWORD": "of the operator"}
UNIT_OF = {
    "migrate": "erlmcp-migrate.service",
    "worker": "erlmcp-worker.service",
    "beat": "erlmcp-beat.service",
    "web1": "erlmcp-web@.service",
    "web2": "erlmcp-web@.service",
}
# what others than our settings read
OF_PYTHON = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
# the application, and the one document that is read from a file; schemas and pages are found by Django
SERVES = (
    "import django",
    "django.setup()",
    "from erlmcp_site.asgi import application",
    "from erlmcp_site.transports.rest.pages import asyncapi_text",
    "asyncapi_text()",
)
# of what is left off: namespaces of its own, W^X (libffi), and addresses that only an operator knows
MOST_EXPOSURE = 15


@pytest.fixture
def services() -> Mapping[str, Service]:
    return {service.name: service for service in read_services(OPERATOR)}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are for an installation here."""
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for path in files(tmp_path):
        path.write_text(path.read_text().replace(INSTALLED, str(ROOT)))
    return tmp_path


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def lines(unit: str, name: str) -> list[str]:
    """The values of a name in a unit, or in what all have in common."""
    text = (UNITS / unit).read_text() + (UNITS / "erlmcp-.service.d" / "common.conf").read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def assignments(text: str) -> list[str]:
    """The names that lines of a unit, or of a file for one, set in the environment."""
    return re.findall(r"(?:^|^Environment=|(?<= ))([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)


def analyze(*arguments: str, units: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze") or missing("systemd-analyze (Debian: apt-get install systemd)")
    return subprocess.run(
        [program, *arguments], env={"SYSTEMD_UNIT_PATH": f"{units}:"}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", sorted({*UNIT_OF.values(), "erlmcp-grpc.service", "erlmcp.target"}))
def test_systemd_takes_a_unit(name: str, units: Path) -> None:
    found = analyze("verify", "--man=no", str(units / name.replace("@", "@1")), units=units)
    # it reads the units of all packages, and says what it does not like of those
    ours = [line for line in found.stderr.splitlines() if not line.startswith(("/lib/systemd/", "/usr/lib/systemd/"))]
    assert (found.returncode, ours) == (0, [])


def test_systemd_would_name_a_command_that_is_not_there(units: Path) -> None:
    path = units / "erlmcp-beat.service"
    path.write_text(path.read_text().replace("bin/python", "bin/pithon"))
    assert "pithon is not executable" in analyze("verify", "--man=no", str(path), units=units).stderr


def test_a_process_may_do_little_besides_its_work(units: Path) -> None:
    found = analyze(*("security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", "erlmcp-web@1.service"), units=units)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(("service", "unit"), UNIT_OF.items())
def test_a_unit_runs_the_command_of_its_service(service: str, unit: str, services: Mapping[str, Service]) -> None:
    (command,) = lines(unit, "ExecStart")
    assert command.startswith(f"{INSTALLED}/.venv/bin/")
    assert shlex.split(command.removeprefix(f"{INSTALLED}/.venv/bin/")) == list(services[service].command)


def test_every_service_of_ours_has_a_unit(services: Mapping[str, Service]) -> None:
    assert {name for name, service in services.items() if service.is_ours} == UNIT_OF.keys()


def test_serve_starts_celery_in_the_same_way(services: Mapping[str, Service]) -> None:
    parts = {part.name: [Path(part.command[0]).stem, *part.command[1:]] for part in parts_of([], ready=0)}
    for name in ("worker", "beat"):
        assert parts[name] == [Path(sys.executable).stem, *services[name].command[1:]]


def test_they_are_given_the_same_time_to_end(services: Mapping[str, Service]) -> None:
    for service, unit in UNIT_OF.items():
        assert lines(unit, "TimeoutStopSec") == [str(services[service].stop_seconds)]
        assert services[service].stop_seconds > max(serving_seconds(), WORKER_SECONDS)
        assert lines(unit, "KillSignal") == [services[service].stop_signal]


def test_what_is_set_is_a_setting(services: Mapping[str, Service]) -> None:
    named = {name for service in services.values() if service.is_ours for name in service.environment}
    ours = [path for path in files(UNITS) if path.name != "erlmcp.conf"]
    named |= {name for path in ours for name in assignments(path.read_text())}
    named |= set(assignments((ROOT / "deploy" / "erlmcp.env").read_text()))
    assert len(named) > 10
    assert named - effective_settings().keys() == OF_PYTHON


def test_what_the_gateway_is_told_is_what_it_reads(services: Mapping[str, Service]) -> None:
    read = set(re.findall(r"presetenv (\w+)", (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()))
    told = assignments((UNITS / "haproxy.service.d" / "erlmcp.conf").read_text())
    assert set(told) - {"CONFIG"} <= read
    assert services["gateway"].environment.keys() <= read


def test_the_image_holds_all_that_runs(tmp_path: Path) -> None:
    copied = re.findall(r"^COPY ((?!--).*) (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    let_through = {
        line.removeprefix("!")
        for line in DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert {name for names, _ in copied for name in names.split()} == let_through
    for names, place in copied:
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
            elif place != "/":
                (tmp_path / place).mkdir(exist_ok=True)
                shutil.copy(ROOT / name, tmp_path / place)
    started = subprocess.run(
        [sys.executable, "-c", "\n".join(SERVES)],
        cwd=tmp_path,
        env={"DJANGO_SETTINGS_MODULE": "erlmcp_site.settings", "VAR_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert started.returncode == 0, started.stderr


def test_variables_are_filled_in_as_compose_does() -> None:
    assert filled("${A:-x:1}-${B:-y}-${C}", {"A": "", "B": "b"}) == "x:1-b-"
    with pytest.raises(Unset, match="POSTGRES_PASSWORD: choose one"):
        read_services({})


def test_who_is_needed_comes_first(services: Mapping[str, Service]) -> None:
    assert list(services) == [*("postgres", "redis", "migrate", "worker", "beat"), *("web1", "web2", "gateway")]


def test_the_probe_tells_that_nobody_answers() -> None:
    command = [sys.executable, "-m", "erlmcp_site.probe"]
    assert subprocess.run(command, cwd=ROOT, env={"PORT": str(free_port())}, timeout=60).returncode == 1
