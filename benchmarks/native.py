"""The C programs of a benchmark, compiled when they are older than their source."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "c"
BUILD = FOLDER / "build"


def program(name: str) -> Path:
    """The path of a compiled program: httpload, wsload or epserver.

    Raises RuntimeError when there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("the load clients are C: install a compiler (Debian: apt-get install gcc libc6-dev)")
    source, target = SOURCE / f"{name}.c", BUILD / name
    newest = max(path.stat().st_mtime for path in (source, SOURCE / "measure.h"))
    if not target.exists() or target.stat().st_mtime < newest:
        BUILD.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(target), str(source)], check=True)
    return target
