"""Several changes that are applied all or not at all (contract §2, §3)."""

from tests.contract.conftest import JSON, Client
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses


def operation(method: str, **params: object) -> dict[str, object]:
    return {"method": f"resources/{method}", "params": params}


async def test_a_batch_is_applied_in_order(alice: Client, tree: str, stack: Cluster) -> None:
    await alice.call("resources/write", uri=f"{tree}old", content=1)
    operations = [
        operation("create", uri=f"{tree}a", content={"n": 1}),
        operation("patch", uri=f"{tree}a", patch={"n": 2}),
        operation("write", uri=f"{tree}b", text="b"),
        operation("delete", uri=f"{tree}old"),
    ]
    before = stack.truth.head()
    answer = await alice.call("resources/batch", operations=operations)
    assert [result["version"] for result in answer["results"]] == [1, 2, 1, 2]
    assert (await alice.call("resources/read", uri=f"{tree}a"))["content"] == {"n": 2}
    uris = [uri.removeprefix(tree) for _, uri, _ in stack.truth.log(tree, before)]
    assert uris == ["a", "a", "b", "old"]


async def test_one_refused_operation_refuses_them_all(alice: Client, tree: str, stack: Cluster) -> None:
    await alice.call("resources/write", uri=f"{tree}there", content=1)
    before = stack.truth.head()
    operations = [
        operation("write", uri=f"{tree}a", content=1),
        operation("create", uri=f"{tree}there", content=2),
        operation("write", uri=f"{tree}b", content=1),
    ]
    with refuses("already_exists") as refusal:
        await alice.call("resources/batch", operations=operations)
    assert refusal["operation"] == 1
    assert stack.truth.log(tree, before) == []
    assert stack.truth.versions(tree) == {f"{tree}there": 1}


@JSON
async def test_operations_are_checked_before_anything_is_done(alice: Client, tree: str, stack: Cluster) -> None:
    for operations in (
        [],
        "nonsense",
        [operation("write", uri=f"{tree}a", content=1), operation("write", uri=f"{tree}b")],
        [operation("write", uri=f"{tree}a", content=1), operation("read", uri=f"{tree}a")],
        [operation("write", uri=f"{tree}a", content=1), {"method": "resources/write"}],
        [operation("write", uri=f"{tree}a", content=1), 7],
    ):
        with refuses("invalid_params"):
            await alice.call("resources/batch", operations=operations)
    with refuses("invalid_uri"):
        await alice.call(
            "resources/batch",
            operations=[
                operation("write", uri=f"{tree}a", content=1),
                operation("write", uri=f"{tree}../b", content=1),
            ],
        )
    assert stack.truth.versions(tree) == {}


async def test_a_reader_may_not_write_by_a_batch(bob: Client, tree: str, stack: Cluster) -> None:
    with refuses("forbidden"):
        await bob.call("resources/batch", operations=[operation("write", uri=f"{tree}a", content=1)])
    assert stack.truth.versions(tree) == {}
