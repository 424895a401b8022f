"""What production installs is known to the byte, and listed."""

import re
import subprocess
import sys
from pathlib import Path

import orjson
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


def test_every_package_has_one_version_and_its_hashes() -> None:
    pinned = requirements("requirements.txt")
    assert len(pinned) > 50
    assert [str(one) for one, hashes in pinned if not hashes] == []
    assert installed()


def test_what_is_imported_is_pinned_as_it_was_asked_for() -> None:
    wanted = {canonicalize_name(one.name): version_of(one) for one, _ in requirements("requirements.in")}
    assert wanted.items() <= installed().items()


def test_what_tests_use_has_one_version_too() -> None:
    for one, _ in requirements("requirements-dev.txt"):
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
