"""When a node is behind the log: by a head that it should have reached, not by how often somebody looks."""

from erlmcp_site.lag import CAUGHT_UP_SECONDS, MAX_LAG_SECONDS, MAX_SAMPLES, Lag

PROBES = [n * 0.5 for n in range(60)]


def test_a_node_that_stands_still_while_others_write_is_behind_after_some_seconds():
    lag = Lag()
    found = {at: (lag.look(position=100, head=101 + int(at), now=at), lag.is_behind)[1] for at in PROBES}
    assert next(at for at, is_behind in found.items() if is_behind) == MAX_LAG_SECONDS + 0.5
    assert found[PROBES[-1]]


def test_a_node_that_reads_slower_than_others_write_is_behind():
    lag = Lag()
    for at in PROBES:
        lag.look(position=int(at * 50), head=int(at * 100), now=at)
    assert lag.is_behind


def test_a_node_that_is_always_a_little_late_is_not_behind():
    lag = Lag()
    for at in PROBES:
        assert lag.look(position=max(0, int((at - 0.4) * 1000)), head=int(at * 1000), now=at) <= 1
        assert not lag.is_behind


def test_nobody_having_looked_for_long_is_no_lag():
    lag = Lag()
    lag.look(position=100, head=100, now=0.0)
    assert lag.look(position=100, head=101, now=3600.0) == 0
    assert not lag.is_behind


def test_it_stays_behind_until_it_has_caught_up():
    lag = Lag()
    lag.look(position=0, head=1000, now=0.0)
    lag.look(position=0, head=1000, now=10.0)
    assert lag.is_behind
    lag.look(position=999, head=2000, now=11.0)
    assert lag.is_behind
    lag.look(position=1000, head=2000, now=11.0 + CAUGHT_UP_SECONDS / 2)
    assert not lag.is_behind


def test_what_is_remembered_does_not_grow_with_the_probes():
    lag = Lag()
    for n in range(10_000):
        lag.look(position=0, head=n + 1, now=n * 0.1)
    assert len(lag._unreached) == MAX_SAMPLES
    assert lag.is_behind
