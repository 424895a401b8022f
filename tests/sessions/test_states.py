"""The graph of session states, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from audit_app.commands import Decision
from audit_app.errors import Refusal
from resources_app.log.control import ControlEvent
from sessions_app.batches import SessionsOfBatch
from sessions_app.commands import CreateSession, MoveSession, OpenSession, UpdateSession
from sessions_app.errors import Forbidden, IllegalTransition, SessionNotFound
from sessions_app.records import SessionRecord, as_json, loaded
from sessions_app.room import Room
from sessions_app.states import NEXT, Reason, State, step
from sessions_app.upkeep import DestroySessions, RecordActivity, SweepSessions

AT = datetime(2026, 1, 1, tzinfo=UTC)

LEGAL = {
    ("initializing", "active"),
    ("active", "suspended"),
    ("suspended", "active"),
    ("active", "terminating"),
    ("suspended", "terminating"),
    ("active", "dead"),
    ("terminating", "gone"),
    ("dead", "gone"),
}


def record_in(state: State, id: str = "s", **fields: Any) -> SessionRecord:
    return SessionRecord(id=id, user_id="1", family="f", state=state, created_at=AT, last_active_at=AT, **fields)


def batch_of(*records: SessionRecord) -> SessionsOfBatch:
    return SessionsOfBatch({record.id: record for record in records}, {}, {"1": Room(len(records))})


def told(decision: Decision) -> list[ControlEvent]:
    """The control events of a decision; sessions make no others."""
    return [event for event in decision.events if isinstance(event, ControlEvent)]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("to", State)
def test_only_the_edges_of_the_contract_are_legal(state: State, to: State) -> None:
    if (state.value, to.value) in LEGAL:
        assert step(state, to) is to
    else:
        with pytest.raises(IllegalTransition):
            step(state, to)


def test_every_state_can_be_reached_and_only_gone_has_no_way_on() -> None:
    reached = {State.INITIALIZING}
    for _ in State:
        reached |= {to for state in reached for to in NEXT[state]}
    assert reached == set(State)
    assert [state for state in State if not NEXT[state]] == [State.GONE]


def test_activity_wakes_an_idle_session_and_no_other() -> None:
    wake = MoveSession(session="s", to=State.ACTIVE, is_activity=True, entry=None)
    idle = batch_of(record_in(State.SUSPENDED, reason=Reason.IDLE))
    decision = wake.apply(idle, AT + timedelta(hours=1))
    assert (decision.result.state, decision.result.reason) == (State.ACTIVE, Reason.NONE)
    assert decision.result.last_active_at == AT + timedelta(hours=1)
    assert [event.kind for event in told(decision)] == ["session.resumed"]
    with pytest.raises(Forbidden):
        wake.apply(batch_of(record_in(State.SUSPENDED, reason=Reason.ADMIN)), AT)
    assert not wake.apply(batch_of(record_in(State.ACTIVE)), AT).events


def test_a_session_waits_for_its_client_until_that_is_ready() -> None:
    batch = SessionsOfBatch({}, {}, {"1": Room(0)})
    made = CreateSession(record=record_in(State.INITIALIZING), is_ready=False, entry=None).apply(batch, AT)
    assert made.result.state is State.INITIALIZING
    ready = UpdateSession(session="s", is_ready=True, entry=None)
    decision = ready.apply(batch, AT + timedelta(hours=1))
    assert (decision.result.state, [event.kind for event in told(decision)]) == (State.ACTIVE, ["session.ready"])
    assert [event.kind for event in told(ready.apply(batch, AT))] == ["session.updated"]
    with pytest.raises(Forbidden):
        ready.apply(batch_of(record_in(State.SUSPENDED, reason=Reason.ADMIN)), AT)


def test_a_foreign_or_ended_session_is_not_found() -> None:
    close = MoveSession(session="s", to=State.TERMINATING, user_id="2", entry=None)
    with pytest.raises(SessionNotFound):
        close.apply(batch_of(record_in(State.ACTIVE)), AT)
    for ended in (State.TERMINATING, State.DEAD):
        with pytest.raises(SessionNotFound):
            replace(close, user_id=None).apply(batch_of(record_in(ended)), AT)
    with pytest.raises(SessionNotFound):
        replace(close, user_id=None).apply(batch_of(), AT)


def test_a_refusal_changes_nothing() -> None:
    batch = batch_of(record_in(State.SUSPENDED, reason=Reason.ADMIN))
    with pytest.raises(IllegalTransition):
        MoveSession(session="s", to=State.SUSPENDED, reason=Reason.IDLE, entry=None).apply(batch, AT)
    assert batch.now["s"] == record_in(State.SUSPENDED, reason=Reason.ADMIN)
    assert not batch.changed


def test_sweeping_leaves_what_was_active_since_and_what_cannot_go_there() -> None:
    busy = replace(record_in(State.ACTIVE, "busy"), last_active_at=AT + timedelta(seconds=1))
    batch = batch_of(record_in(State.ACTIVE), record_in(State.TERMINATING, "ended"), busy)
    sweep = SweepSessions(
        sessions=["s", "ended", "busy", "never"], to=State.SUSPENDED, idle_since=AT, why="idle", entry=None
    )
    assert sweep.apply(batch, AT).result == 1
    assert {id: record.state for id, record in batch.now.items()} == {
        "s": State.SUSPENDED,
        "ended": State.TERMINATING,
        "busy": State.ACTIVE,
    }


def test_activity_never_goes_back() -> None:
    batch = batch_of(replace(record_in(State.ACTIVE), position=7))
    RecordActivity(seen={"s": (AT - timedelta(hours=1), 9), "unknown": (AT, 1)}).apply(batch, AT)
    assert (batch.now["s"].last_active_at, batch.now["s"].position) == (AT, 9)


def test_a_family_opens_one_session_until_that_ends() -> None:
    batch = SessionsOfBatch({}, {"f": ""}, {"1": Room(0)})
    opened = [
        OpenSession(family="f", record=record_in(State.INITIALIZING, id), entry=None).apply(batch, AT).result.id
        for id in "ab"
    ]
    MoveSession(session="a", to=State.TERMINATING, entry=None).apply(batch, AT)
    again = OpenSession(family="f", record=record_in(State.INITIALIZING, "c"), entry=None).apply(batch, AT)
    assert (opened, again.result.id, batch.pointers) == (["a", "a"], "c", {"f": "c"})


def test_a_record_survives_the_cache() -> None:
    record = record_in(State.SUSPENDED, reason=Reason.IDLE, metadata={"a": [1]}, backend="cache", position=3)
    assert loaded(orjson.loads(orjson.dumps(as_json(record)))) == record


class Lives(RuleBasedStateMachine):
    """Any sequence of commands on any sessions walks the graph, and says what it did by control events."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.batch = batch_of()
        self.seen: dict[str, State] = {}
        self.made = 0
        self.unready: set[str] = set()

    def ask(self, command: Any) -> None:
        before = {id: record.state for id, record in self.batch.now.items()}
        try:
            events = told(command.apply(self.batch, AT))
        except Refusal:
            assert {id: record.state for id, record in self.batch.now.items()} == before
            return
        states = {event.subject: event.data["state"] for event in events if event.kind != "session.updated"}
        for id, state in before.items():
            after = self.batch.now[id].state if id in self.batch.now else State.GONE
            if after is not state:
                assert (state.value, after.value) in LEGAL
                assert after is State.GONE or states.pop(id) == after
        assert not states

    @rule(target=sessions, is_ready=st.booleans())
    def create(self, is_ready: bool) -> Any:
        self.made += 1
        record = record_in(State.INITIALIZING, str(self.made))
        if not is_ready:
            self.unready.add(record.id)
        self.ask(CreateSession(record=record, is_ready=is_ready, entry=None))
        return multiple(str(self.made))

    @rule(
        id=sessions,
        to=st.sampled_from(State),
        reason=st.sampled_from(Reason),
        user=st.sampled_from([None, "1", "2"]),
        is_activity=st.booleans(),
    )
    def move(self, id: str, to: State, reason: Reason, user: str | None, is_activity: bool) -> None:
        to = State.ACTIVE if is_activity else to
        self.ask(MoveSession(session=id, to=to, reason=reason, user_id=user, is_activity=is_activity, entry=None))

    @rule(id=sessions, label=st.text(max_size=3), is_ready=st.booleans())
    def update(self, id: str, label: str, is_ready: bool) -> None:
        self.ask(UpdateSession(session=id, label=label, is_ready=is_ready, entry=None))

    @rule(id=sessions, to=st.sampled_from([State.ACTIVE, State.SUSPENDED, State.TERMINATING, State.DEAD]))
    def sweep(self, id: str, to: State) -> None:
        self.ask(SweepSessions(sessions=[id, "never"], to=to, why="test", entry=None))

    @rule(id=sessions)
    def destroy(self, id: str) -> None:
        self.ask(DestroySessions(sessions=[id]))

    @invariant()
    def only_suspended_sessions_have_a_reason(self) -> None:
        for record in self.batch.now.values():
            assert record.state is not State.INITIALIZING or record.id in self.unready
            assert record.id in self.batch.fresh


TestLives = Lives.TestCase
