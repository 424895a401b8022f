"""The names of contract §9 are there, and a snapshot has them all."""

from prometheus_client import CollectorRegistry, generate_latest

from telemetry_app.metrics import observe_request
from telemetry_app.snapshot import snapshot
from telemetry_app.system import collect_system


def test_the_system_is_read_when_somebody_scrapes():
    registry = CollectorRegistry()
    collect_system(registry)
    text = generate_latest(registry).decode()
    for name in ("cpu_ratio", "memory_bytes", "disk_ratio", 'network_bytes_total{way="sent"}'):
        assert f"\nerlmcp_system_{name} " in text


def test_a_snapshot_has_our_metrics_and_no_buckets():
    observe_request("rest", "resources/read", "success", [("processing", 0.002)])
    found = {metric["name"]: metric for metric in snapshot()}
    assert {"erlmcp_requests", "erlmcp_request_seconds", "erlmcp_log_head", "erlmcp_system_memory_bytes"} <= set(found)
    assert not any(name.startswith("python_") for name in found)
    names = {sample["name"] for sample in found["erlmcp_request_seconds"]["samples"]}
    assert names == {"erlmcp_request_seconds_count", "erlmcp_request_seconds_sum"}
