"""The machine and this process as gauges (erlmcp_system_*), read when somebody scrapes."""

from collections.abc import Callable, Iterable

import psutil
from django.conf import settings
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry


class SystemCollector(Collector):
    """CPU of the machine since the last scrape, memory of this process, the disk of VAR_DIR, bytes on the network."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        psutil.cpu_percent()

    def collect(self) -> Iterable[Metric]:
        gauges: list[tuple[str, str, Callable[[], float]]] = [
            ("cpu_ratio", "Share of the machine's CPU time in use.", lambda: psutil.cpu_percent() / 100),
            ("memory_bytes", "Resident memory of this process.", lambda: self._process.memory_info().rss),
            ("disk_ratio", "Share of the disk in use.", lambda: psutil.disk_usage(settings.VAR_DIR).percent / 100),
        ]
        for name, text, read in gauges:
            yield GaugeMetricFamily(f"erlmcp_system_{name}", text, value=read())
        network = CounterMetricFamily(
            "erlmcp_system_network_bytes", "Bytes over the machine's network.", labels=["way"]
        )
        sums = psutil.net_io_counters()
        network.add_metric(["sent"], sums.bytes_sent)
        network.add_metric(["received"], sums.bytes_recv)
        yield network


def collect_system(registry: CollectorRegistry = REGISTRY) -> None:
    """Have the registry show the system's figures from now on. Once a registry: raises ValueError the second time."""
    registry.register(SystemCollector())
