"""The metrics of the contract (§9), all in one place. Never a URI, a user or a session as a label."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from telemetry_app.stages import Durations, StageSeconds

REQUESTS = Counter("erlmcp_requests_total", "Requests answered.", ["transport", "method", "outcome"])
REQUEST_SECONDS = StageSeconds("erlmcp_request_seconds", "Time that a request spent in a stage.")
REGISTRY.register(REQUEST_SECONDS)
ERRORS = Counter("erlmcp_errors_total", "Requests refused or failed.", ["category", "code"])
COMMIT_BATCH_SIZE = Histogram(
    "erlmcp_commit_batch_size", "Commands in one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
COMMIT_SECONDS = Histogram("erlmcp_commit_seconds", "Time that one commit took, from load to durable.")
EVENTS = Counter("erlmcp_events_total", "Events that this process committed.", ["type"])
DELIVERIES = Counter("erlmcp_deliveries_total", "Events handed to followers.", ["transport"])
DELIVERY_LAG = Histogram(
    "erlmcp_delivery_lag_seconds",
    "Time from the commit of the oldest event that waited to its hand-over to the last socket of its topic.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.05, 0.1, 0.25, 1, 10),
)
REPLAY_LOADS = Counter("erlmcp_replay_loads_total", "Reads of the log for followers behind their topic's tail.")
REPLAYS = Counter(
    "erlmcp_replays_total", "Parts of the log that followers behind their topic's tail were given.", ["source"]
)
REPLAY_BYTES = Gauge("erlmcp_replay_bytes", "What is kept of the log, at most, for followers that come a little later.")
FOLLOWERS = Gauge("erlmcp_followers", "Followers attached to this process.")
FOLLOWER_RESETS = Counter(
    "erlmcp_follower_resets_total", "Followers that fell out of the log and were told to read everything again."
)
FOLLOWERS_CUT = Counter("erlmcp_followers_cut_total", "Followers cut off because their clients did not read.")
LOG_HEAD = Gauge("erlmcp_log_head", "The last offset that this process has seen.")
LOG_EARLIEST = Gauge("erlmcp_log_earliest", "The offset from which on the log still has everything.")
SESSIONS = Gauge("erlmcp_sessions", "Sessions in the database.", ["state"])
SUBSCRIPTIONS = Gauge("erlmcp_subscriptions", "Durable subscriptions in the database.")
SUBSCRIPTIONS_LOST = Gauge(
    "erlmcp_subscriptions_lost", "Durable subscriptions that stand before what the log still has: they are told reset."
)
SUBSCRIPTION_HEADROOM = Gauge(
    "erlmcp_subscription_headroom",
    "Offsets that the log may yet lose before the next durable subscription stands before what it has.",
)
WRITER_WAITING = Gauge("erlmcp_writer_waiting", "Commands that wait to be committed by this process.")
HEALTH_CHECK = Gauge("erlmcp_health_check", "What a check came to: 0 well, 1 degraded, 2 failed.", ["check"])
AUDIT_PENDING = Gauge("erlmcp_audit_pending", "Audit entries that wait to be moved to the trail.", ["queue"])
AUDIT_LAG = Gauge("erlmcp_audit_lag_seconds", "Age of the audit entry that has waited longest.", ["queue"])
SINK_LAG = Gauge("erlmcp_sink_lag_entries", "Audit entries that a sink has yet to deliver.", ["sink"])
SINK_LAG_SECONDS = Gauge("erlmcp_sink_lag_seconds", "Age of the audit entry that has waited longest.", ["sink"])
# told by the audit database and not counted here, so they are no counters of this process
SINK_DELIVERED = Gauge("erlmcp_sink_delivered_entries", "Audit entries that a receiver has taken.", ["sink"])
SINK_DEAD_LETTERS = Gauge("erlmcp_sink_dead_letters", "Audit entries that a receiver would not take.", ["sink"])
SINK_FAILURES = Gauge("erlmcp_sink_failures", "Attempts that a receiver did not take.", ["sink"])
TRAIL_HEAD = Gauge("erlmcp_trail_head", "The number of the last entry of the trail.")
TRAIL_SIGNED = Gauge("erlmcp_trail_signed", "The number of the last entry that a checkpoint covers.")
TRAIL_BENT = Gauge(
    "erlmcp_trail_bent",
    "1 when the trail is not what was written: by what the main database remembers, or by the last verification.",
    ["found_by"],
)
CACHE_REQUESTS = Counter("erlmcp_cache_requests_total", "Look-ups in a cache.", ["cache", "result"])
TAMPERED = Counter("erlmcp_tampered_total", "What was kept encrypted and did not open.", ["what"])
RECOVERIES = Counter(
    "erlmcp_recoveries_total", "Failures of a part that were retried, or met by its fallback.", ["part", "strategy"]
)
BREAKER_OPEN = Gauge("erlmcp_breaker_open", "1 while a part is left alone because it does not answer.", ["part"])

_observers: dict[tuple[str, str, str], tuple[Counter, dict[str, Durations]]] = {}


def observe_request(transport: str, method: str, outcome: str, stages: Iterable[tuple[str, float]]) -> None:
    """Count a request and time its stages, in seconds. `method` must be a name of the methods table or "unknown"."""
    key = (transport, method, outcome)
    found = _observers.get(key)
    if found is None:
        found = _observers[key] = (REQUESTS.labels(*key), REQUEST_SECONDS.of(transport, method))
    counter, durations = found
    counter.inc()
    for stage, seconds in stages:
        durations[stage].add(seconds)
