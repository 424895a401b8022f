"""What an admin stops by suspending a session, and what not (contract §6, docs/tokens.md)."""

import pytest
from django.contrib.auth.models import User

from audit_app.writer import writer
from sessions_app.accounts import ChangeAccount
from tests.pipeline.calls import ask, body, code, token_of
from tests.sessions.conftest import PASSWORD, entry
from tests.stack.waiting import eventually


async def answer(token: str, **fields: str) -> str | None:
    return code(await ask("sessions/list", {}, token, **fields))


@pytest.fixture
async def suspended(running: dict[str, User]) -> tuple[dict[str, str], str]:
    """A login of alice's whose session root has suspended, and the session."""
    pair = body(await ask("auth/login", {"username": "alice", "password": PASSWORD}))
    session = (await ask("sessions/list", {}, pair["access"])).session_id
    assert session is not None
    body(await ask("sessions/suspend", {"session": session}, await token_of("root")))
    return pair, session


async def test_the_session_is_stopped_whatever_is_shown_for_it(suspended: tuple[dict[str, str], str]) -> None:
    pair, session = suspended
    fresh = body(await ask("auth/refresh", {"refresh": pair["refresh"]}))["access"]
    other = await token_of("alice")
    assert {await answer(pair["access"]), await answer(fresh), await answer(other, session_id=session)} == {"forbidden"}
    body(await ask("sessions/resume", {"session": session}, await token_of("root")))
    assert await answer(fresh) is None


async def test_its_user_and_their_keys_go_on_until_the_user_is_deactivated(
    suspended: tuple[dict[str, str], str], running: dict[str, User]
) -> None:
    again = await token_of("alice")
    key = body(await ask("keys/create", {}, again))["key"]
    assert await answer(again) is None
    assert await answer(key) is None
    user = running["alice"]
    user.is_active = False
    await writer.submit(ChangeAccount(write=user.save, entry=entry(), users=[str(user.pk)]))

    async def is_stopped() -> bool:
        return {await answer(again), await answer(key)} == {"unauthenticated"}

    await eventually(is_stopped, 30, "everything of the user is refused")
    refused = await ask("auth/login", {"username": "alice", "password": PASSWORD})
    assert code(refused) == "unauthenticated"
