"""The pages on security promise nothing that no test shows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/security.md", "docs/security-asvs.md")
NAMED = re.compile(r"`((?:[a-z]+/)+test_\w+\.py)::(test_\w+)`")
FILES = re.compile(r"`(?:tests/)?((?:[a-z]+/)+test_\w+\.py)")
WITHOUT = {"not yet", "operator", "n/a"}


def rows(page: str) -> list[list[str]]:
    """The cells of the rows whose table has a column for tests."""
    found: list[list[str]] = []
    is_checklist = False
    for line in (ROOT / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            is_checklist = False
        elif cells[-1] == "test":
            is_checklist = True
        elif is_checklist and set(line) - set("|- "):
            found.append(cells)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_line_names_its_test_or_says_that_it_has_none(page: str) -> None:
    found = rows(page)
    assert len(found) > 20
    assert [cells for cells in found if not NAMED.search(cells[-1]) and cells[-1] not in WITHOUT] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text())
    assert [f"{file}::{name}" for file, name in named if name not in names_in(ROOT / "tests" / file)] == []


def test_every_file_with_tests_that_a_page_names_exists() -> None:
    named = {name for page in (ROOT / "docs").glob("*.md") for name in FILES.findall(page.read_text())}
    assert len(named) > 50
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []


def names_in(path: Path) -> set[str]:
    if not path.exists():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


def test_the_front_page_leads_there() -> None:
    assert "(docs/security.md)" in (ROOT / "README.md").read_text()
    assert "(security-asvs.md)" in (ROOT / "docs/security.md").read_text()
