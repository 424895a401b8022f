"""What a process holds is bounded."""

from sessions_app.authentication import MAX_HELD, Tokens
from sessions_app.caches import Memory
from sessions_app.callers import Caller


def caller(user: str, family: str) -> Caller:
    return Caller(user_id=user, name=user, permissions=frozenset(), principals=frozenset(), family=family, expires_at=0)


def test_the_least_recently_used_go_first_and_whoever_asked_hears_of_it() -> None:
    dropped: list[tuple[str, int]] = []
    memory: Memory[str, int] = Memory(2, lambda key, value: dropped.append((key, value)))
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (len(memory), memory.get("b"), dropped) == (2, None, [("b", 2)])
    memory.drop("b")
    memory.drop("a")
    memory.clear()
    assert (len(memory), dropped) == (0, [("b", 2), ("a", 1), ("c", 3)])


def test_tokens_are_dropped_by_family_and_by_user() -> None:
    tokens = Tokens()
    held = {b"1": caller("alice", "f"), b"2": caller("alice", "g"), b"3": caller("bob", "h")}
    for digest, one in held.items():
        tokens.put(digest, one)
    tokens.drop_family("f")
    assert [digest for digest in held if tokens.get(digest)] == [b"2", b"3"]
    tokens.drop_user("alice")
    tokens.drop_user("nobody")
    assert [digest for digest in held if tokens.get(digest)] == [b"3"]
    tokens.clear()
    assert not [digest for digest in held if tokens.get(digest)]


def test_the_oldest_tokens_make_room() -> None:
    tokens = Tokens()
    for n in range(MAX_HELD + 10):
        tokens.put(n.to_bytes(4), caller(str(n), str(n)))
    assert [n for n in range(20) if tokens.get(n.to_bytes(4))] == list(range(10, 20))
