"""Which trace a request belongs to: its caller's, or a new one where the caller names none that is valid."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from telemetry_app.tracing.context import continued
from telemetry_app.tracing.sampling import Sampler

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
COLLECTOR = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("traceparent", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-01", "01"),
        (f"00-{TRACE}-{PARENT}-00", "00"),
        # what the other flags mean is not known; that a trace id is random is told on
        (f"00-{TRACE}-{PARENT}-ff", "03"),
        (f"01-{TRACE}-{PARENT}-01", "01"),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_a_valid_traceparent_is_gone_on_with(traceparent: str, flags: str) -> None:
    trace = continued(traceparent, "a=1")
    assert (trace.trace_id, trace.parent_id, trace.state) == (TRACE, PARENT, "a=1")
    assert trace.span_id not in {PARENT, "0" * 16}
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-{flags}"
    assert trace.is_sampled is (flags != "00")


@pytest.mark.parametrize(
    "traceparent",
    [
        *("", "00", "garbage", f"00-{TRACE}-{PARENT}", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-01-"),
        *(f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT.upper()}-01"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[1:]}-{PARENT}-01"),
        *(
            f"00-{TRACE}0-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-1",
            f"00-{TRACE}-{PARENT}-01\n",
            f" 00-{TRACE}-{PARENT}-01",
        ),
        *(f"cc-{TRACE}-{PARENT}-01.more", f"00_{TRACE}_{PARENT}_01", f"00-{TRACE[:-1]}x-{PARENT}-01"),
        # two headers of that name
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}٣-{PARENT}-01",
    ],
)
def test_one_that_is_not_valid_is_ignored_and_a_new_trace_begun(traceparent: str) -> None:
    trace = continued(traceparent, "a=1")
    assert (trace.parent_id, trace.state) == ("", "")
    assert trace.trace_id != TRACE
    assert continued(trace.traceparent).trace_id == trace.trace_id


@given(st.text(alphabet=string.printable + "é\0") | st.from_regex(r"[0-9a-fA-F]{2}-[0-9a-f]{32}-[0-9a-f]{16}-.{2}"))
def test_whatever_is_sent_comes_to_a_trace(traceparent: str) -> None:
    trace = continued(traceparent, traceparent)
    assert continued(trace.traceparent).parent_id == trace.span_id


@pytest.mark.parametrize(
    "tracestate",
    [
        *("a=1", "a=1,b=2", "a=1, b=2 ,\tc=3", "fw529a3039@dt=FfAaBb,2tenant@vendor=x", "a=b c", "a=1,,b=2"),
        ",".join(f"k{number}=v" for number in range(32)),
        f"a={'x' * 256}",
    ],
)
def test_a_valid_tracestate_is_told_on_as_it_is(tracestate: str) -> None:
    assert continued(f"00-{TRACE}-{PARENT}-01", tracestate).state == tracestate


@pytest.mark.parametrize(
    "tracestate",
    [
        *("", ",", "a", "=1", "a=", "a=1=2", "A=1", "a=1,a=2", "a=é", "a=1\n", "a@b@c=1", "2a=1", "a=1\r\nx: y"),
        ",".join(f"k{number}=v" for number in range(33)),
        f"a={'x' * 257}",
        f"a={'x' * 250},b={'x' * 250},c={'x' * 10}",
    ],
)
def test_one_that_is_not_valid_is_left_out_and_the_trace_goes_on(tracestate: str) -> None:
    trace = continued(f"00-{TRACE}-{PARENT}-01", tracestate)
    assert (trace.trace_id, trace.state) == (TRACE, "")


def test_new_traces_are_kept_by_the_ratio(settings: Settings) -> None:
    def wanted(ratio: float, endpoint: str = COLLECTOR) -> list[bool]:
        settings.OTEL_TRACES_SAMPLER_ARG, settings.OTEL_EXPORTER_OTLP_ENDPOINT = ratio, endpoint
        sampler = Sampler()
        sampler.start()
        return [
            sampler.wants(f"{TRACE[:16]}{digits}")
            for digits in ("0" * 16, "3fffffffffffffff", "4" + "0" * 15, "f" * 16)
        ]

    assert wanted(0.0) == [False] * 4
    assert wanted(0.25) == [True, True, False, False]
    assert wanted(1.0) == [True] * 4
    assert wanted(0.999999999999) == [True, True, True, False]
    assert wanted(1.0, endpoint="") == [False] * 4
    assert Sampler().wants(TRACE) is False
