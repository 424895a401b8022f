"""The machine, this process and its interpreter, read when somebody looks."""

import gc
import resource
import threading
import time
from collections.abc import Iterable
from typing import Any

import psutil
from django.conf import settings
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from telemetry_app.catalogue import Description, Merge, describe

FILES_SECONDS = 5.0
"""How old the number of open files may be: with thousands of sockets it takes milliseconds to count them."""

CPU = describe("erlmcp_system_cpu_ratio", "gauge", "Share of the machine's CPU time in use.", merge=Merge.LATEST)
MEMORY = describe("erlmcp_system_memory_bytes", "gauge", "Resident memory of all processes of the node.")
DISK = describe("erlmcp_system_disk_ratio", "gauge", "Share of the disk of VAR_DIR in use.", merge=Merge.LATEST)
NETWORK = describe(
    "erlmcp_system_network_bytes_total", "counter", "Bytes over the machine's network.", ["way"], merge=Merge.MAX
)
PROCESSES = describe("erlmcp_processes", "gauge", "Processes of the node: web, grpc, worker, beat.", ["process"])
PROCESS_CPU = describe("erlmcp_process_cpu_seconds_total", "counter", "CPU time of the node's processes.", ["process"])
PROCESS_MEMORY = describe(
    "erlmcp_process_memory_bytes", "gauge", "Resident memory of the node's processes.", ["process"]
)
FILES = describe("erlmcp_process_files", "gauge", "Open files and sockets of the node's processes.", ["process"])
FILES_RATIO = describe(
    "erlmcp_process_files_ratio",
    "gauge",
    "Share of the files that a process may have open, of the one that has used most of it.",
    ["process"],
    merge=Merge.MAX,
)
THREADS = describe("erlmcp_process_threads", "gauge", "Threads of the node's processes.", ["process"])
COLLECTIONS = describe(
    "erlmcp_gc_collections_total", "counter", "Runs of Python's garbage collector.", ["process", "generation"]
)
COLLECTION_SECONDS = describe(
    "erlmcp_gc_seconds_total",
    "counter",
    "Time in Python's garbage collector, in which a process does nothing else.",
    ["process"],
)


class SystemCollector(Collector):
    """Tells of the system; `process` is what this process is called in labels."""

    def __init__(self) -> None:
        self.process = "other"
        self._process = psutil.Process()
        self._files, self._files_at = 0, -FILES_SECONDS
        self._collecting_since = 0.0
        self._collecting_seconds = 0.0
        psutil.cpu_percent()
        gc.callbacks.append(self._time_collection)

    def collect(self) -> Iterable[Metric]:
        now, here = time.time(), [self.process]
        memory = self._process.memory_info().rss
        yield _gauge(CPU, [], psutil.cpu_percent() / 100, now)
        yield _gauge(MEMORY, [], memory)
        yield _gauge(DISK, [], psutil.disk_usage(settings.VAR_DIR).percent / 100, now)
        network, sums = _counter(NETWORK), psutil.net_io_counters()
        network.add_metric(["sent"], sums.bytes_sent)
        network.add_metric(["received"], sums.bytes_recv)
        yield network
        files = self._count_files()
        yield _gauge(PROCESSES, here, 1)
        yield _gauge(PROCESS_MEMORY, here, memory)
        yield _gauge(FILES, here, files)
        yield _gauge(FILES_RATIO, here, files / resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        yield _gauge(THREADS, here, threading.active_count())
        for description, value in ((PROCESS_CPU, time.process_time()), (COLLECTION_SECONDS, self._collecting_seconds)):
            family = _counter(description)
            family.add_metric(here, value)
            yield family
        collections = _counter(COLLECTIONS)
        for generation, told in enumerate(gc.get_stats()):
            collections.add_metric([*here, str(generation)], told["collections"])
        yield collections

    def _count_files(self) -> int:
        if time.monotonic() - self._files_at >= FILES_SECONDS:
            self._files, self._files_at = self._process.num_fds(), time.monotonic()
        return self._files

    def _time_collection(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collecting_seconds += time.perf_counter() - self._collecting_since


def _gauge(description: Description, values: list[str], value: float, at: float | None = None) -> Metric:
    family = GaugeMetricFamily(description.name, description.meaning, labels=description.labels)
    family.add_metric(values, value, timestamp=at)
    return family


def _counter(description: Description) -> CounterMetricFamily:
    return CounterMetricFamily(description.family, description.meaning, labels=description.labels)


system = SystemCollector()


def collect_system(registry: CollectorRegistry = REGISTRY) -> None:
    """Have the registry show the system's figures from now on. Once a registry: raises ValueError the second time."""
    registry.register(system)


def forget_defaults() -> None:
    """Leave out what the library tells of this one process: a node has several, and tells its own of all of them."""
    for collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
        REGISTRY.unregister(collector)
