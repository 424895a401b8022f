from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("health", "metrics", "figures", "slow_topics")
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SLOW_TOPICS_FIELD_NUMBER: _ClassVar[int]
    health: Health
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    figures: Figures
    slow_topics: _containers.RepeatedCompositeFieldContainer[SlowTopic]
    def __init__(self, health: _Optional[_Union[Health, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., figures: _Optional[_Union[Figures, _Mapping]] = ..., slow_topics: _Optional[_Iterable[_Union[SlowTopic, _Mapping]]] = ...) -> None: ...

class Figures(_message.Message):
    __slots__ = ("window_seconds", "requests_per_second", "errors_per_second", "refusals_per_second", "events_per_second", "deliveries_per_second", "request_seconds", "delivery_lag_seconds", "commit_seconds", "sessions", "followers", "subscriptions", "subscriptions_lost", "log_head", "log_earliest", "writer_waiting", "audit_pending", "audit_lag_seconds", "sink_lag_seconds", "cache_hit_ratios", "breakers_open", "cpu_ratio", "memory_bytes")
    class SessionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class AuditPendingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class SinkLagSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class CacheHitRatiosEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ERRORS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    EVENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWERS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_LOST_FIELD_NUMBER: _ClassVar[int]
    LOG_HEAD_FIELD_NUMBER: _ClassVar[int]
    LOG_EARLIEST_FIELD_NUMBER: _ClassVar[int]
    WRITER_WAITING_FIELD_NUMBER: _ClassVar[int]
    AUDIT_PENDING_FIELD_NUMBER: _ClassVar[int]
    AUDIT_LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SINK_LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHE_HIT_RATIOS_FIELD_NUMBER: _ClassVar[int]
    BREAKERS_OPEN_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    window_seconds: float
    requests_per_second: float
    errors_per_second: float
    refusals_per_second: float
    events_per_second: float
    deliveries_per_second: float
    request_seconds: Percentiles
    delivery_lag_seconds: Percentiles
    commit_seconds: Percentiles
    sessions: _containers.ScalarMap[str, float]
    followers: float
    subscriptions: float
    subscriptions_lost: float
    log_head: float
    log_earliest: float
    writer_waiting: float
    audit_pending: _containers.ScalarMap[str, float]
    audit_lag_seconds: float
    sink_lag_seconds: _containers.ScalarMap[str, float]
    cache_hit_ratios: _containers.ScalarMap[str, float]
    breakers_open: _containers.RepeatedScalarFieldContainer[str]
    cpu_ratio: float
    memory_bytes: float
    def __init__(self, window_seconds: _Optional[float] = ..., requests_per_second: _Optional[float] = ..., errors_per_second: _Optional[float] = ..., refusals_per_second: _Optional[float] = ..., events_per_second: _Optional[float] = ..., deliveries_per_second: _Optional[float] = ..., request_seconds: _Optional[_Union[Percentiles, _Mapping]] = ..., delivery_lag_seconds: _Optional[_Union[Percentiles, _Mapping]] = ..., commit_seconds: _Optional[_Union[Percentiles, _Mapping]] = ..., sessions: _Optional[_Mapping[str, float]] = ..., followers: _Optional[float] = ..., subscriptions: _Optional[float] = ..., subscriptions_lost: _Optional[float] = ..., log_head: _Optional[float] = ..., log_earliest: _Optional[float] = ..., writer_waiting: _Optional[float] = ..., audit_pending: _Optional[_Mapping[str, float]] = ..., audit_lag_seconds: _Optional[float] = ..., sink_lag_seconds: _Optional[_Mapping[str, float]] = ..., cache_hit_ratios: _Optional[_Mapping[str, float]] = ..., breakers_open: _Optional[_Iterable[str]] = ..., cpu_ratio: _Optional[float] = ..., memory_bytes: _Optional[float] = ...) -> None: ...

class Percentiles(_message.Message):
    __slots__ = ("p50", "p95", "p99")
    P50_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    p50: float
    p95: float
    p99: float
    def __init__(self, p50: _Optional[float] = ..., p95: _Optional[float] = ..., p99: _Optional[float] = ...) -> None: ...

class SlowTopic(_message.Message):
    __slots__ = ("uri", "followers", "behind", "waiting_seconds", "cut")
    URI_FIELD_NUMBER: _ClassVar[int]
    FOLLOWERS_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    WAITING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    uri: str
    followers: int
    behind: int
    waiting_seconds: float
    cut: int
    def __init__(self, uri: _Optional[str] = ..., followers: _Optional[int] = ..., behind: _Optional[int] = ..., waiting_seconds: _Optional[float] = ..., cut: _Optional[int] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("status", "checks")
    class ChecksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Finding
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Finding, _Mapping]] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    status: str
    checks: _containers.MessageMap[str, Finding]
    def __init__(self, status: _Optional[str] = ..., checks: _Optional[_Mapping[str, Finding]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("status", "detail", "milliseconds")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    status: str
    detail: str
    milliseconds: float
    def __init__(self, status: _Optional[str] = ..., detail: _Optional[str] = ..., milliseconds: _Optional[float] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "type", "help", "samples")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    help: str
    samples: _containers.RepeatedCompositeFieldContainer[Sample]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., help: _Optional[str] = ..., samples: _Optional[_Iterable[_Union[Sample, _Mapping]]] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("name", "labels", "value")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    value: float
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., value: _Optional[float] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ("seconds", "format", "pid")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    format: str
    pid: int
    def __init__(self, seconds: _Optional[float] = ..., format: _Optional[str] = ..., pid: _Optional[int] = ...) -> None: ...

class ProfileResponse(_message.Message):
    __slots__ = ("pid", "seconds", "samples", "format", "profile")
    PID_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    pid: int
    seconds: float
    samples: int
    format: str
    profile: str
    def __init__(self, pid: _Optional[int] = ..., seconds: _Optional[float] = ..., samples: _Optional[int] = ..., format: _Optional[str] = ..., profile: _Optional[str] = ...) -> None: ...
