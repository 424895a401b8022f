"""`python -m pytest -p tests.stack.plugin --database=postgres tests/resources …`: tests in this process on PostgreSQL.

Only those that reach a database are run, which pytest-django lets no others do: the rest would do the same again.
Settings read the environment when Django is set up, so the server has to be there before; that is why this is a plugin
of its own and not part of conftest.py.
"""

import os
from collections.abc import Iterator

import pytest

from tests.stack.postgres_server import PostgresServer

DATABASE_FIXTURES = frozenset({"db", "transactional_db", "postgres"})

_servers = pytest.StashKey[PostgresServer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="the database of tests that run in this process (default: sqlite)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Runs before pytest-django reads the settings."""
    if early_config.known_args_namespace.database == "postgres":
        # nobody ends it while tests run
        server = early_config.stash[_servers] = PostgresServer(durable=False)
        early_config.add_cleanup(server.stop)
        os.environ |= {
            "DATABASE_URL": server.url("erlmcp"),
            "AUDIT_DATABASE_URL": server.url("audit"),
            "SECRET_KEY": "a secret for tests in this process, and long enough",
        }
    yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("database") == "postgres":
        reaching = [item for item in items if _reaches_a_database(item)]
        if len(reaching) < len(items):
            config.hook.pytest_deselected(items=[item for item in items if item not in set(reaching)])
            items[:] = reaching


def _reaches_a_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or not DATABASE_FIXTURES.isdisjoint(fixtures)
