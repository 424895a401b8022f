"""What Prometheus is answered, by what it accepts."""

import pytest
from prometheus_client.core import Exemplar
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from erlmcp_site.asgi import application
from telemetry_app.exposition import exposition
from telemetry_app.metrics import observe_request
from telemetry_app.state import Key, State, take_state

OF_PROMETHEUS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

SLOWER: Key = (
    "erlmcp_request_seconds_bucket",
    (("transport", "rest"), ("method", "resources/read"), ("stage", "total"), ("le", "0.1")),
)
ALL: Key = (SLOWER[0], (*SLOWER[1][:-1], ("le", "+Inf")))
READS: Key = ("erlmcp_requests_total", (("transport", "rest"), ("method", "resources/read"), ("outcome", "success")))
TRACE = Exemplar({"trace_id": "ab" * 16}, 0.07, 3.0)


def test_whoever_accepts_openmetrics_gets_it_with_exemplars():
    samples = {READS: 3.0, SLOWER: 2.0, ALL: 2.0}
    text, media_type = exposition(State(1.0, samples, exemplars={SLOWER: TRACE}), OF_PROMETHEUS)
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in openmetrics(text.decode())}
    assert families["erlmcp_requests"].samples[0].value == 3.0
    assert families["erlmcp_request_seconds"].unit == "seconds"
    exemplar = families["erlmcp_request_seconds"].samples[0].exemplar
    assert (exemplar.labels, exemplar.value) == (TRACE.labels, TRACE.value)


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html;q=x, nonsense"])
def test_everybody_else_gets_text(accept: str):
    text, media_type = exposition(State(1.0, {READS: 3.0}), accept)
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    (family,) = plain(text.decode())
    assert [(sample.name, sample.value) for sample in family.samples] == [("erlmcp_requests_total", 3.0)]


def test_all_that_this_process_has_can_be_told_both_ways():
    assert application is not None
    observe_request("rest", "resources/read", "success", [("processing", 0.07)], "cd" * 16)
    state = take_state()
    for accept, parse in ((OF_PROMETHEUS, openmetrics), ("", plain)):
        samples = [sample for family in parse(exposition(state, accept)[0].decode()) for sample in family.samples]
        assert len(samples) == len(state.samples)
    assert state.exemplars[SLOWER].labels == {"trace_id": "cd" * 16}
