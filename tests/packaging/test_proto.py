"""What is generated from proto/erlmcp/v1 is checked in as it comes out."""

import subprocess
import sys
from pathlib import Path

from tests.stack.node import ROOT


def test_the_generated_code_is_that_of_the_proto(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "proto" / "generate.py"), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    kept = ROOT / "erlmcp_site" / "transports" / "grpc" / "generated"
    texts = {
        file.name: file.read_text() for file in kept.iterdir() if file.suffix in {".py", ".pyi"} and file.stat().st_size
    }
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == texts, "run: make proto"
