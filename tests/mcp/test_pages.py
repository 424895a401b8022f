"""What the pages tell people to paste works as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from erlmcp_site.transports.mcp.authorization import PATH
from tests.stack.cluster import Cluster
from tests.stack.node import ROOT
from tests.stack.waiting import PATIENCE

HERE = "http://127.0.0.1:8000"
PAGE = ROOT / "docs" / "mcp.md"


def script(page: Path, pattern: str) -> str:
    """The one block of a page with the SDK's client."""
    (found,) = [text for text in re.findall(pattern, page.read_text(), re.DOTALL) if "from mcp import Client" in text]
    assert HERE in found
    return str(found)


@pytest.mark.parametrize(
    ("page", "pattern", "says"),
    [
        ("README.md", r"<<'EOF'\n(.*?)\nEOF", ["'resource_create'", "ResourceUpdated(uri='resource:", '{"seen":1}']),
        ("docs/mcp.md", r"```python\n(.*?)```", ["resource_create - ", "resource_history - "]),
    ],
    ids=["readme", "page"],
)
def test_the_script_with_the_sdk_runs(
    embedded: Cluster, tmp_path: Path, page: str, pattern: str, says: list[str]
) -> None:
    pasted = script(ROOT / page, pattern).replace(HERE, embedded.nodes[0].base)
    told = {"PATH": os.environ["PATH"], "TOKEN": embedded.token("alice")}
    ended = subprocess.run(
        [sys.executable, "-"],
        input=pasted,
        text=True,
        capture_output=True,
        timeout=2 * PATIENCE,
        cwd=tmp_path,
        env=told,
    )
    assert ended.returncode == 0, ended.stderr
    for text in says:
        assert text in ended.stdout


def test_the_configurations_of_clients_name_what_is_there() -> None:
    blocks = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    over_http, over_pipes = [block["mcpServers"]["erlmcp"] for block in blocks if "mcpServers" in block]
    assert over_http["url"] == f"{HERE}{PATH}"
    assert over_http["headers"]["Authorization"].startswith("Bearer ")
    assert over_pipes["args"][1] in get_commands()
    assert (ROOT / Path(over_pipes["args"][0]).name).exists()
    assert list(over_pipes["env"]) == ["ERLMCP_TOKEN"]


def test_the_page_names_every_setting() -> None:
    named = re.findall(r"^(MCP_[A-Z_]+) = ", (ROOT / "erlmcp_site" / "settings.py").read_text(), re.MULTILINE)
    assert [name for name in named if f"| `{name}` |" not in PAGE.read_text()] == []
