"""The names of contract §9 are there, and a snapshot has them all."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from telemetry_app.metrics import observe_request
from telemetry_app.snapshot import snapshot
from telemetry_app.stages import BOUNDS, LABELS, StageSeconds
from telemetry_app.state import take_state
from telemetry_app.system import collect_system


def test_the_system_is_read_when_somebody_scrapes():
    registry = CollectorRegistry()
    collect_system(registry)
    text = generate_latest(registry).decode()
    for name in ("cpu_ratio", "memory_bytes", "disk_ratio", 'network_bytes_total{way="sent"}'):
        assert f"\nerlmcp_system_{name} " in text


def test_a_snapshot_has_our_metrics_and_no_buckets():
    observe_request("rest", "resources/read", "success", [("processing", 0.002)])
    found = {metric["name"]: metric for metric in snapshot(take_state())}
    assert {"erlmcp_requests", "erlmcp_request_seconds", "erlmcp_log_head", "erlmcp_system_memory_bytes"} <= set(found)
    assert not any(name.startswith("python_") for name in found)
    names = {sample["name"] for sample in found["erlmcp_request_seconds"]["samples"]}
    assert names == {"erlmcp_request_seconds_count", "erlmcp_request_seconds_sum"}


def test_stages_are_shown_as_the_library_shows_its_histograms():
    registry, of_library = CollectorRegistry(), CollectorRegistry()
    stages = StageSeconds("seconds", "Time.")
    registry.register(stages)
    histogram = Histogram("seconds", "Time.", LABELS, registry=of_library, buckets=BOUNDS)
    for number, seconds in enumerate([0.0, 0.004, 0.005, 0.0051, 0.3, 10.0, 10.1, 4000.0]):
        for method, stage in (("resources/read", "processing"), ("unknown", f"stage {number % 2}")):
            stages.of("rest", method, stage).add(seconds)
            histogram.labels("rest", method, stage).observe(seconds)
    assert _told(registry) == _told(of_library)


def _told(registry: CollectorRegistry) -> set[str]:
    """The lines of an exposition."""
    return set(generate_latest(registry).decode().splitlines())
