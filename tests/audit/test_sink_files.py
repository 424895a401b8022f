"""What a sink writes to files: whole lines, rotated whole, by however many processes."""

import multiprocessing
import resource
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit_app.sinks.receivers import ReceiverAway
from tests.audit.deliveries import items, send
from tests.stack.beside import in_a_fork


def lines_of(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_file_has_a_line_for_each_entry(tmp_path: Path) -> None:
    path = tmp_path / "below" / "audit.jsonl"
    send(f"file://{path}?name=f", items(3))
    send(f"file://{path}?name=f", items(2))
    assert [line["sequence"] for line in lines_of(path)] == [1, 2, 3, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_full_file_is_renamed_whole_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    wanted = items(200)
    for item in wanted:
        send(f"file://{path}?name=f&max_bytes=4096&keep=3", [item])
    rotated = sorted((p for p in tmp_path.glob("audit.jsonl.*[0-9]")), key=lambda p: int(p.suffix[1:]))
    assert len(rotated) == 3
    assert all(0 < p.stat().st_size <= 4096 for p in [*rotated, path])
    kept = [line["sequence"] for p in [*rotated, path] for line in lines_of(p)]
    assert kept == list(range(kept[0], 201))


def test_with_keep_0_no_file_goes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for item in items(60):
        send(f"file://{path}?name=f&max_bytes=4096&keep=0", [item])
    rotated = sorted((p for p in tmp_path.glob("audit.jsonl.*[0-9]")), key=lambda p: int(p.suffix[1:]))
    assert [line["sequence"] for p in [*rotated, path] for line in lines_of(p)] == list(range(1, 61))


def test_an_old_file_is_renamed_and_a_clock_stepped_back_renames_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f&max_seconds=100"
    send(url, items(1))
    lock = tmp_path / "audit.jsonl.lock"
    begun = float(lock.read_text())
    lock.write_text(f"{begun + 3600:.3f}\n")
    send(url, items(1))
    assert not (tmp_path / "audit.jsonl.1").exists()
    lock.write_text(f"{begun - 101:.3f}\n")
    send(url, items(1))
    assert (len(lines_of(tmp_path / "audit.jsonl.1")), len(lines_of(path))) == (2, 1)
    assert float(lock.read_text()) >= begun


def test_half_a_line_of_somebody_who_died_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    one, two = items(2)
    for half in (two.line[:40], two.line * 1_000):
        path.write_bytes(one.line + b"\n" + half)
        send(f"file://{path}?name=f", [two])
        assert path.read_bytes() == one.line + b"\n" + two.line + b"\n"
    path.write_bytes(one.line[:40])
    send(f"file://{path}?name=f", [one])
    assert path.read_bytes() == one.line + b"\n"


def test_a_file_that_may_not_grow_keeps_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f"
    send(url, items(2))
    before = path.read_bytes()

    def send_with_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 300, resource.RLIM_INFINITY))
        with pytest.raises(ReceiverAway, match="File too large"):
            send(url, items(2))

    assert in_a_fork(send_with_little_room) == 0
    assert path.read_bytes() == before
    send(url, items(2))
    assert [line["sequence"] for line in lines_of(path)] == [1, 2, 1, 2]


def append(url: str, number: int) -> None:
    for _ in range(30):
        send(url, items(7, user=f"process-{number}"))


def test_processes_side_by_side_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    url = f"file://{path}?name=f&max_bytes=20000&keep=0"
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=append, args=(url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found = [line for p in tmp_path.glob("audit.jsonl*") if p.suffix != ".lock" for line in lines_of(p)]
    assert len(found) == 3 * 30 * 7
    assert {(line["user"], line["sequence"]) for line in found} == {
        (f"process-{number}", n) for number in range(3) for n in range(1, 8)
    }


def test_a_folder_that_cannot_be_written_is_a_receiver_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ReceiverAway, match=r"audit\.jsonl"):
        send(f"file://{tmp_path}/file/audit.jsonl?name=f", items(1))
