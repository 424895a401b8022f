"""A SoftHSM2 token of our own, in a folder of its own."""

import os
import subprocess
from pathlib import Path

MODULES = [
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
]
LABEL = "erlmcp tests"
PIN = "482913"


def module() -> Path | None:
    """Where SoftHSM2 is installed."""
    return next((path for path in MODULES if path.exists()), None)


def make_token(folder: Path) -> None:
    """Make a token; this process's SoftHSM2 keeps its tokens there from now on."""
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    options = ["--init-token", "--free", "--label", LABEL, "--so-pin", "739201", "--pin", PIN]
    subprocess.run(["softhsm2-util", *options], check=True, capture_output=True)
