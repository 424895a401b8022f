"""The client of docs/grpc.md, as somebody would make and run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.stack.cluster import Cluster
from tests.stack.node import ROOT


def test_the_client_of_the_documentation_works(embedded: Cluster, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "grpc.md").read_text()
    (client,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"^python (-m grpc_tools\.protoc .*)$", text, re.MULTILINE)
    protos = [str(file) for file in sorted(ROOT.glob("proto/erlmcp/v1/*.proto"))]
    arguments = [argument.replace("--proto_path=", f"--proto_path={ROOT}/") for argument in command.split()[:-1]]
    made = subprocess.run(
        [sys.executable, *arguments, *protos], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    tree = embedded.tree()
    (tmp_path / "client.py").write_text(client.replace("resource://example.com/", tree))
    environment = {
        "PATH": os.environ["PATH"],
        "ERLMCP": embedded.nodes[0].grpc_address,
        "PASSWORD": embedded.passwords["alice"],
    }
    done = subprocess.run(
        [sys.executable, "client.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, created, updated, refused = done.stdout.splitlines()
    assert first == "2 {'word': 'goodbye'}"
    assert created.endswith("erlmcp.resource.created {'word': 'hello'}")
    assert updated.endswith("erlmcp.resource.updated {'word': 'goodbye'}")
    assert refused == "NOT_FOUND resource_not_found"
