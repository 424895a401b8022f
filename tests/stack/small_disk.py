"""A disk of a few megabytes that a test can fill: a tmpfs of its own, which only root can mount."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = bytes(4096)


class CannotMount(Exception):
    """A tmpfs may not be mounted here; the message says why."""


class SmallDisk:
    """Whatever lies in `folder` shares its few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room at all."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(BLOCK)

    def free(self) -> None:
        """Give back what `fill` took, if it did."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """A disk for as long as the context lasts. Raises CannotMount."""
    with tempfile.TemporaryDirectory(prefix="erlmcp-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        try:
            mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise CannotMount("there is no program `mount`") from None
        if mounted.returncode:
            raise CannotMount(mounted.stderr.strip())
        try:
            yield SmallDisk(Path(folder))
        finally:
            # lazily: a process that a failed test left may still hold a file
            subprocess.run(["umount", "--lazy", folder], check=True)
