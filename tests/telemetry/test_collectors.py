"""Which collector traces and metrics go to, by OpenTelemetry's variables; and whom it is believed to be over TLS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from erlmcp_site.environment import env_otlp
from telemetry_app.collectors import Collector as At
from telemetry_app.collectors import collector_of
from telemetry_app.otlp import TRACES, CollectorAway, sender_of
from telemetry_app.tracing.context import continued
from telemetry_app.tracing.spans import Kind, Span, request_of
from tests.stack.certificates import Authority
from tests.stack.otlp import Collector
from tests.stack.waiting import PATIENCE

BODY = request_of([Span(trace=continued(None), name="a", kind=Kind.SERVER, start=1, end=3)], {}).SerializeToString()
PREFIX = "OTEL_EXPORTER_OTLP"


@pytest.fixture
def told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the variables, those of all signals and those of one."""

    def tell(common: dict[str, Any], **own: str) -> None:
        for name, value in common.items():
            setattr(settings, f"{PREFIX}_{name}", value)
        for name, value in own.items():
            monkeypatch.setenv(f"{PREFIX}_{name}", value)
        settings.OTLP_OWN = {signal: env_otlp(f"{PREFIX}_{signal}") for signal in ("TRACES", "METRICS")}

    return tell


def found(signal: str) -> At:
    collector = collector_of(signal)
    assert collector is not None
    return collector


def test_both_signals_go_to_the_common_endpoint_each_to_its_path(told: Any) -> None:
    told({"ENDPOINT": "http://all:4318/otlp/", "HEADERS": {"a": "1"}, "TIMEOUT": 500})
    assert [found(signal).url for signal in ("TRACES", "METRICS")] == [
        "http://all:4318/otlp/v1/traces",
        "http://all:4318/otlp/v1/metrics",
    ]
    assert found("TRACES") == At(
        url="http://all:4318/otlp/v1/traces", protocol="http/protobuf", headers={"a": "1"}, seconds=0.5
    )


def test_what_is_set_of_one_signal_goes_before_value_by_value(told: Any) -> None:
    told(
        {"ENDPOINT": "http://all:4318", "HEADERS": {"a": "1"}, "TIMEOUT": 500},
        TRACES_ENDPOINT="https://traces/in/here",
        TRACES_HEADERS="b=2,c=a%20b",
        METRICS_PROTOCOL="grpc",
        METRICS_TIMEOUT="2000",
    )
    traces, metrics = found("TRACES"), found("METRICS")
    assert (traces.url, traces.headers, traces.seconds) == ("https://traces/in/here", {"b": "2", "c": "a b"}, 0.5)
    assert (metrics.url, metrics.headers, metrics.seconds) == ("http://all:4318/v1/metrics", {"a": "1"}, 2.0)
    assert (traces.protocol, metrics.protocol) == ("http/protobuf", "grpc")


def test_one_signal_alone_may_have_a_collector(told: Any) -> None:
    told({"ENDPOINT": ""}, METRICS_ENDPOINT="http://m:4317")
    assert collector_of("TRACES") is None
    assert found("METRICS").protocol == "grpc", "it is the port of gRPC"


@pytest.mark.parametrize(
    ("common", "own", "expected"),
    [
        ("", "", "grpc"),
        ("http/protobuf", "", "http/protobuf"),
        ("http/protobuf", "grpc", "grpc"),
        ("grpc", "http/protobuf", "http/protobuf"),
    ],
)
def test_the_protocol_is_the_signals_own_else_that_of_all_else_that_of_the_port(
    told: Any, common: str, own: str, expected: str
) -> None:
    told({"ENDPOINT": "http://all:4317", "PROTOCOL": common}, TRACES_PROTOCOL=own)
    assert found("TRACES").protocol == expected


def test_a_signal_that_is_switched_off_goes_nowhere(told: Any, settings: Settings) -> None:
    told({"ENDPOINT": "http://all:4318"}, TRACES_ENDPOINT="http://traces:4318")
    settings.OTEL_TRACES_EXPORTER = settings.OTEL_METRICS_EXPORTER = "none"
    assert collector_of("TRACES") is collector_of("METRICS") is None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def over_tls(authority: Authority) -> Iterator[Collector]:
    leaf = authority.path.with_name("collector.pem")
    authority.write_leaf(leaf)
    made = Collector(leaf)
    yield made
    made.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_collector_is_believed_by_the_certificate_that_is_named(
    over_tls: Collector, authority: Authority, tmp_path: Path, told: Any, protocol: str
) -> None:
    endpoint = over_tls.grpc_url if protocol == "grpc" else over_tls.http_url
    before = len(over_tls.traces)
    told({"ENDPOINT": endpoint, "PROTOCOL": protocol, "TIMEOUT": int(PATIENCE * 1000)})
    told({"CERTIFICATE": str(authority.path)}, TRACES_CERTIFICATE=str(Authority(tmp_path).path))
    assert (Path(found("METRICS").certificate), found("TRACES").certificate) == (
        authority.path,
        str(tmp_path / "authority.pem"),
    )
    stranger = sender_of(TRACES, At(url=endpoint, protocol=protocol, headers={}, seconds=2, certificate=""))
    with pytest.raises(CollectorAway):
        stranger.send(BODY)
    stranger.close()
    told({"CERTIFICATE": str(authority.path)}, TRACES_CERTIFICATE="")
    sender = sender_of(TRACES, found("TRACES"))
    assert sender.send(BODY) == 0
    sender.close()
    assert len(over_tls.traces) == before + 1


def test_an_endpoint_of_its_own_is_taken_as_it_is(told: Any) -> None:
    collector = Collector()
    told({"ENDPOINT": "http://127.0.0.1:1"}, TRACES_ENDPOINT=f"{collector.http_url}/v1/traces", TRACES_HEADERS="k=v")
    sender = sender_of(TRACES, found("TRACES"))
    assert sender.send(BODY) == 0
    sender.close()
    assert (collector.paths, collector.headers["k"]) == (["/v1/traces"], "v")
    collector.stop()
