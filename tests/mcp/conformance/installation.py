"""Where the suite is installed, with a Node that it runs on: exactly what the lock file says, outside the tree."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from tests.stack.missing import missing

HERE = Path(__file__).resolve().parent
MANIFESTS = ("package.json", "package-lock.json")
INSTALL_SECONDS = 200
CACHE = "erlmcp-tests"


@cache
def installed() -> Path:
    """The folder `node_modules` of the suite; installed by the first run that needs this lock file, kept for others."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / CACHE
    folder = caches / f"conformance-{sha256((HERE / MANIFESTS[1]).read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        caches.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=caches, prefix="installing-") as name:
            whole = Path(name) / "whole"
            install(whole)
            try:
                whole.rename(folder)
            except OSError:
                assert folder.exists(), "another process has installed it meanwhile"
    return folder / "node_modules"


def install(folder: Path) -> None:
    """Install what the lock file names into a new folder; no script of any package is run."""
    npm = shutil.which("npm") or missing("npm (Debian: npm)")
    folder.mkdir()
    for manifest in MANIFESTS:
        shutil.copy(HERE / manifest, folder)
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        ended = subprocess.run(
            [npm, "ci", *quietly], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        missing(f"the packages of {HERE / MANIFESTS[1]}: npm has not got them in {INSTALL_SECONDS} s")
    if ended.returncode:
        missing(f"the packages of {HERE / MANIFESTS[1]}: {ended.stderr}")


def node() -> Path:
    """The Node that was installed with the suite."""
    program = installed() / ".bin" / "node"
    if not program.exists():
        missing("a Node for this kind of machine: the packages have it for Linux on x64 and arm64")
    return program
