"""The provider `local`: a keyring file that only its owner may read."""

import json
import stat
import threading
from pathlib import Path

import pytest

from encryption_app.envelope import KEY_BYTES, Tampered
from encryption_app.errors import BadProvider, KeyUnknown
from encryption_app.providers.local import Local

KEY = bytes(range(KEY_BYTES))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "keyring.json"


def test_what_was_wrapped_is_unwrapped(path: Path) -> None:
    local = Local(path)
    first, second = local.create(), local.create()
    wrapped = local.wrap(first, KEY, "a")
    assert KEY not in wrapped
    assert Local(path).unwrap(first, wrapped, "a") == KEY
    for key_id, context in ((second, "a"), (first, "b")):
        with pytest.raises(Tampered):
            local.unwrap(key_id, wrapped, context)


def test_the_keyring_is_made_for_its_owner_alone(path: Path) -> None:
    Local(path).create()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [name.name for name in path.parent.iterdir() if not name.name.endswith(".lock")] == ["keyring.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_keyring_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    Local(path).create()
    path.chmod(mode)
    with pytest.raises(BadProvider, match="chmod 600"):
        Local(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2, "keys": {}}', '{"format": 1, "keys": {"a": "AAAA"}}'])
def test_what_is_no_keyring_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadProvider, match="no keyring"):
        Local(path)


def test_a_key_that_another_process_made_is_found(path: Path) -> None:
    one, other = Local(path), Local(path)
    wrapped = one.wrap(key_id := one.create(), KEY, "a")
    assert other.unwrap(key_id, wrapped, "a") == KEY


def test_a_destroyed_key_is_gone_from_the_file(path: Path) -> None:
    local = Local(path)
    key_id, kept = local.create(), local.create()
    wrapped = local.wrap(key_id, KEY, "a")
    for _ in range(2):
        local.destroy(key_id)
    assert json.loads(path.read_text())["keys"].keys() == {kept}
    with pytest.raises(KeyUnknown):
        local.unwrap(key_id, wrapped, "a")


def test_keys_that_are_made_at_once_are_all_there(path: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(Local(path).create())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(path.read_text())["keys"].keys() == set(made)
    assert len(made) == 20


def test_a_keyring_that_cannot_be_read_is_refused(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    with pytest.raises(BadProvider, match="cannot be read"):
        Local(path)
