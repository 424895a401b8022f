"""What production installs is known to the byte, and listed."""

import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(name: str) -> list[tuple[Requirement, int]]:
    """The requirements of a file, each with the number of its hashes."""
    text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.split(" --hash")[0].split(" #")[0]), len(HASH.findall(line))) for line in lines]


def version_of(requirement: Requirement) -> str:
    """The one version that a requirement allows; fails for any other kind."""
    (allowed,) = requirement.specifier
    assert allowed.operator == "==" and "*" not in allowed.version, requirement
    return allowed.version


def installed() -> dict[str, str]:
    """The versions of what production installs on this machine, by name."""
    here = [one for one, _ in requirements("requirements.txt") if one.marker is None or one.marker.evaluate()]
    found: dict[str, str] = {canonicalize_name(one.name): version_of(one) for one in here}
    assert len(found) == len(here)
    return found


@pytest.mark.parametrize(("name", "least"), [("requirements.txt", 50), ("requirements-keys.txt", 5)])
def test_every_package_has_one_version_and_its_hashes(name: str, least: int) -> None:
    pinned = requirements(name)
    assert len(pinned) > least
    assert [str(one) for one, hashes in pinned if not hashes] == []
    for one, _ in pinned:
        assert version_of(one)


def test_what_is_imported_is_pinned_as_it_was_asked_for() -> None:
    wanted = {canonicalize_name(one.name): version_of(one) for one, _ in requirements("requirements.in")}
    assert wanted.items() <= installed().items()


@pytest.mark.parametrize("name", ["requirements-keys.txt", "requirements-dev.txt"])
def test_what_is_installed_besides_does_not_contradict_it(name: str) -> None:
    for one, _ in requirements(name):
        assert version_of(one) == installed().get(canonicalize_name(one.name), version_of(one))


def test_the_bill_of_materials_lists_what_is_installed(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    made = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "cyclonedx_py",
                "requirements",
                "requirements.txt",
                "--pyproject",
                "pyproject.toml",
            ),
            *("--output-reproducible", "--validate", "--output-file", str(bill)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert made.returncode == 0, made.stderr
    document = orjson.loads(bill.read_bytes())
    listed = {(canonicalize_name(part["name"]), part["version"]) for part in document["components"]}
    assert installed().items() <= listed
    assert document["metadata"]["component"]["name"] == "erlmcp"
