"""The metrics of the contract (§9), all in one place. Never a URI, a user or a session as a label."""

from collections.abc import Sequence

from prometheus_client import REGISTRY, disable_created_metrics

from telemetry_app.catalogue import Merge, counter, describe, gauge, histogram, latest, spread, tallies
from telemetry_app.stages import BOUNDS, LABELS, WHOLE, Durations, Stages, StageSeconds
from telemetry_app.tallies import Tally

# when a series began would be as many series again
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library says no types here

REQUESTS = tallies("erlmcp_requests_total", "Requests answered.", ["transport", "method", "outcome"])
REQUEST_SECONDS = StageSeconds(
    "erlmcp_request_seconds",
    describe(
        "erlmcp_request_seconds",
        "histogram",
        "Time that requests took: as a whole by method (stage total), and in each stage (method all).",
        LABELS,
        buckets=BOUNDS[:-1],
    ).meaning,
)
REGISTRY.register(REQUEST_SECONDS)
ERRORS = counter("erlmcp_errors_total", "Requests refused or failed.", ["category", "code"])
COMMIT_BATCH_SIZE = spread(
    "erlmcp_commit_batch_size", "Commands in one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
COMMIT_SECONDS = spread(
    "erlmcp_commit_seconds",
    "Time that one commit took, from load to durable.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
EVENTS = counter("erlmcp_events_total", "Events that this node's processes committed.", ["type"])
DELIVERIES = counter("erlmcp_deliveries_total", "Events handed to followers.", ["transport"])
DELIVERY_LAG = histogram(
    "erlmcp_delivery_lag_seconds",
    "Time from the commit of the oldest event that waited to its hand-over to the last socket of its topic.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.05, 0.1, 0.25, 1, 10),
)
REPLAY_LOADS = counter("erlmcp_replay_loads_total", "Reads of the log for followers behind their topic's tail.")
REPLAYS = counter(
    "erlmcp_replays_total", "Parts of the log that followers behind their topic's tail were given.", ["source"]
)
REPLAY_BYTES = gauge("erlmcp_replay_bytes", "What is kept of the log, at most, for followers that come a little later.")
FOLLOWERS = gauge("erlmcp_followers", "Followers attached.")
FOLLOWER_RESETS = counter(
    "erlmcp_follower_resets_total", "Followers that fell out of the log and were told to read everything again."
)
FOLLOWERS_CUT = counter("erlmcp_followers_cut_total", "Followers cut off because their clients did not read.")
LOG_EARLIEST = latest("erlmcp_log_earliest", "The offset from which on the log still has everything.")
LOG_HEAD = gauge("erlmcp_log_head", "The last offset of the log that was seen.", merge=Merge.MAX)
SESSIONS = latest("erlmcp_sessions", "Sessions in the database.", ["state"])
SUBSCRIPTIONS = latest("erlmcp_subscriptions", "Durable subscriptions in the database.")
SUBSCRIPTIONS_LOST = latest(
    "erlmcp_subscriptions_lost", "Durable subscriptions that stand before what the log still has: they are told reset."
)
SUBSCRIPTION_HEADROOM = latest(
    "erlmcp_subscription_headroom",
    "Offsets that the log may yet lose before the next durable subscription stands before what it has.",
)
WRITER_WAITING = gauge(
    "erlmcp_writer_waiting", "Commands that wait for the writer, of the process where most do.", merge=Merge.MAX
)
HEALTH_CHECK = latest(
    "erlmcp_health_check",
    "What a health check came to when it was asked last: 0 well, 1 degraded, 2 failed.",
    ["check"],
)
AUDIT_PENDING = latest("erlmcp_audit_pending", "Audit entries that wait to be moved to the trail.", ["queue"])
AUDIT_LAG = latest("erlmcp_audit_lag_seconds", "Age of the audit entry that has waited longest.", ["queue"])
SINK_LAG = latest("erlmcp_sink_lag_entries", "Audit entries that a sink has yet to deliver.", ["sink"])
SINK_LAG_SECONDS = latest(
    "erlmcp_sink_lag_seconds", "Age of the audit entry that has waited longest for a sink.", ["sink"]
)
# told by the audit database and not counted here, so they are no counters of this process
SINK_DELIVERED = latest("erlmcp_sink_delivered_entries", "Audit entries that a receiver has taken.", ["sink"])
SINK_DEAD_LETTERS = latest("erlmcp_sink_dead_letters", "Audit entries that a receiver would not take.", ["sink"])
SINK_FAILURES = latest("erlmcp_sink_failures", "Attempts that a receiver did not take.", ["sink"])
TRAIL_HEAD = latest("erlmcp_trail_head", "The number of the last entry of the trail.")
TRAIL_SIGNED = latest("erlmcp_trail_signed", "The number of the last entry that a checkpoint covers.")
TRAIL_BENT = latest(
    "erlmcp_trail_bent",
    "1 when the trail is not what was written: by what the main database remembers, or by the last verification.",
    ["found_by"],
)
CACHE_REQUESTS = tallies("erlmcp_cache_requests_total", "Look-ups in a cache.", ["cache", "result"])
TAMPERED = counter("erlmcp_tampered_total", "What was kept encrypted and did not open.", ["what"])
RECOVERIES = counter(
    "erlmcp_recoveries_total", "Failures of a part that were retried, or met by its fallback.", ["part", "strategy"]
)
BREAKER_OPEN = gauge(
    "erlmcp_breaker_open", "1 while a part is left alone because it does not answer.", ["part"], merge=Merge.MAX
)
REPORT_FAILURES = counter(
    "erlmcp_report_failures_total", "Times that a process could not show the others of its node what it has counted."
)
EXPORT_POINTS = counter("erlmcp_export_points_total", "Points that a receiver of metrics has taken.", ["exporter"])
EXPORT_DROPPED = counter(
    "erlmcp_export_dropped_points_total", "Points given up: too old to wait on, or refused.", ["exporter"]
)
EXPORT_FAILURES = counter(
    "erlmcp_export_failures_total", "Times that a receiver of metrics did not take what it was sent.", ["exporter"]
)
EXPORT_RESTARTS = counter(
    "erlmcp_export_restarts_total", "Times that an exporter was started again after an error of its own.", ["exporter"]
)
EXPORT_PENDING = gauge("erlmcp_export_pending", "Batches of points that wait for a receiver.", ["exporter"])
LOOP_LAG = histogram(
    "erlmcp_loop_lag_seconds",
    "How much later than asked for the event loop of a process came back to what it was to do.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5),
)
SPANS = counter(
    "erlmcp_spans_total",
    "Spans of traces that are kept: sent, refused by the collector, or dropped while it does not take them.",
    ["result"],
)
THREADS_BUSY = gauge("erlmcp_pool_threads", "Threads of a pool that have been started.", ["pool"])
THREADS_AWAITED = gauge("erlmcp_pool_waiting", "Calls that wait for a thread of a pool.", ["pool"])
DATABASE_CONNECTIONS = gauge(
    "erlmcp_database_connections",
    "Connections of the pools of a database: busy, idle, and callers that wait for one (state waiting).",
    ["database", "state"],
)
LOG_LINES_LOST = counter("erlmcp_log_lines_lost_total", "Log lines that standard error did not take in time.")

_stages: dict[str, Stages] = {}
_observers: dict[tuple[str, str, str], tuple[Tally, Durations, Stages]] = {}


def observe_request(
    transport: str, method: str, outcome: str, stages: Sequence[tuple[str, float]], trace_id: str = ""
) -> None:
    """Count a request, and time it and its stages, in seconds. `method` is a name of the methods table or "unknown".

    The id of its trace, if it is traced (32 hexadecimal digits), becomes an exemplar.
    """
    key = (transport, method, outcome)
    found = _observers.get(key)
    if found is None:
        of_transport = _stages.setdefault(transport, Stages(REQUEST_SECONDS, transport))
        found = REQUESTS.labels(*key), REQUEST_SECONDS.of(transport, method, WHOLE), of_transport
        _observers[key] = found
    count, whole, of_stages = found
    count.inc()
    total = of_stages.add(stages)
    whole.add(total)
    if trace_id:
        whole.exemplify(total, trace_id)
