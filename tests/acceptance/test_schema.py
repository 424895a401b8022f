"""The API answers as its OpenAPI document says, whatever it is sent (quality 28)."""

import sys

import httpx

from tests.stack.cluster import Cluster
from tests.stack.node import ROOT
from tests.stack.processes import Process

SEED = 20_261_123
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


def test_no_5xx_and_no_undocumented_answer(embedded: Cluster) -> None:
    """schemathesis with a fixed seed; streams that have no end are left out, they are tested by themselves."""
    node = embedded.nodes[0]
    schemathesis = Process(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{node.base}/api/v1/schema"),
            *("--header", f"Authorization:Bearer {embedded.login('admin')['access']}"),
            *("--checks", ",".join(CHECKS), "--seed", str(SEED), "--max-examples", "15"),
            *("--phases", "examples,coverage,fuzzing", "--exclude-path", "/api/v1/events/stream"),
            *("--request-timeout", "20", "--suppress-health-check", "all", "--generation-database", "none"),
            *("--no-color", "--continue-on-failure"),
        ],
        folder=ROOT,
        environment=node.environment,
    )
    status = schemathesis.wait(200)
    assert status == 0, schemathesis.output[-20_000:]


def test_the_document_names_every_route(embedded: Cluster) -> None:
    base = embedded.nodes[0].base
    document = httpx.get(f"{base}/api/v1/schema", headers={"Accept": "application/json"}, trust_env=False).json()
    assert document["openapi"].startswith("3.1")
    for path in ("auth/login", "sessions", "resources", "resources/batch", "subscriptions", "events", "audit"):
        assert f"/api/v1/{path}" in document["paths"], path
