"""Callers over every transport that one list of cases is run on."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from tests.stack.cluster import Cluster
from tests.stack.door import TRANSPORTS, Door, client
from tests.stack.door import Client as Client
from tests.stack.rest import Rest
from tests.stack.sockets import Socket


class Opening(Protocol):
    """Opens a client for a user, or for the bearer of a token."""

    def __call__(self, user: str | None = None, *, token: str | None = None) -> AbstractAsyncContextManager[Client]: ...


JSON = pytest.mark.parametrize("transport", ["rest", "websocket"])
"""For cases that no message of the proto can say: parameters of other types than they have, or that there are not."""


OVER_GRPC_ON_BOTH = frozenset(
    {
        "test_access_matrix",
        "test_entries",
        "test_idempotency",
        "test_resources",
        "test_sessions",
        "test_subscriptions",
        "test_history",
        "test_permissions",
    }
)
"""Modules whose cases run over gRPC on both databases. The others do on one: a transport knows neither."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    spared = {item for item in items if _is_spared(item)}
    if spared:
        config.hook.pytest_deselected(items=list(spared))
        items[:] = [item for item in items if item not in spared]


def _is_spared(item: pytest.Item) -> bool:
    case = getattr(item, "callspec", None)
    if case is None or (case.params.get("transport"), case.params.get("stack")) != ("grpc", "postgres+redis"):
        return False
    return item.path.stem not in OVER_GRPC_ON_BOTH


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def door(stack: Cluster) -> Door:
    """Where clients come in: the first node; modules may say otherwise."""
    return stack.nodes[0]


@pytest.fixture
def opened(stack: Cluster, door: Door, transport: str) -> Opening:
    """How to open a client on the transport of this run."""

    def open_client(user: str | None = None, *, token: str | None = None) -> AbstractAsyncContextManager[Client]:
        return client(door, transport, token or (stack.token(user) if user else None))

    return open_client


@pytest.fixture
async def alice(opened: Opening) -> AsyncIterator[Client]:
    """Reads, writes, deletes and subscribes everywhere."""
    async with opened("alice") as client:
        yield client


@pytest.fixture
async def bob(opened: Opening) -> AsyncIterator[Client]:
    """Reads and subscribes everywhere."""
    async with opened("bob") as client:
        yield client


@pytest.fixture
async def admin(opened: Opening) -> AsyncIterator[Client]:
    """May do everything."""
    async with opened("admin") as client:
        yield client


@pytest.fixture
def stranger(stack: Cluster) -> str:
    """The name of a user who has been granted nothing."""
    if "carol" not in stack.passwords:
        stack.add_user("carol")
    return "carol"


@pytest.fixture
def tree(stack: Cluster) -> str:
    """A prefix of URIs that no other test uses."""
    return stack.tree()


@pytest.fixture
async def rest(stack: Cluster) -> AsyncIterator[Rest]:
    """Alice over REST."""
    async with stack.rest("alice") as client:
        yield client


@pytest.fixture
async def socket(stack: Cluster) -> AsyncIterator[Socket]:
    """Alice over a WebSocket."""
    async with await stack.socket("alice") as client:
        yield client
