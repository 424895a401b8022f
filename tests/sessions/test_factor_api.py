"""A login over the API shows the code of a second factor, too; the password alone gives nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.trail import Entry
from erlmcp_site.pipeline.messages import Reply
from sessions_app.actions.tokens import log_in
from sessions_app.errors import WrongLogin
from sessions_app.models import TokenFamily
from tests.pipeline.calls import code, entries_of
from tests.sessions.conftest import PASSWORD, entry, pair_of
from tests.sessions.factor_devices import Device, enrol
from tests.sessions.test_methods import ask

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture(autouse=True)
def rates() -> None:
    """Nobody has come from anywhere yet."""
    cache.clear()


@pytest.fixture
async def enrolled(running: dict[str, User]) -> tuple[Device, list[str]]:
    """root's device, and the recovery codes."""
    return await in_database(enrol, running["root"])


async def login(code: str | None = None, password: str = PASSWORD, name: str = "root") -> Reply:
    given = {} if code is None else {"code": code}
    return await ask("auth/login", username=name, password=password, **given)


async def test_a_login_needs_the_code_and_does_not_say_what_was_wrong(enrolled: tuple[Device, list[str]]) -> None:
    device, _ = enrolled
    shown = device.code()
    refused = [
        await login(),
        await login(""),
        await login(device.wrong_code()),
        await login(shown, password="wrong"),
        await login(shown, name="nobody"),
    ]
    assert [code(reply) for reply in refused] == ["unauthenticated"] * 5
    assert len({(reply.refusal.message, str(reply.refusal.data)) for reply in refused if reply.refusal}) == 1
    reply = await login(shown)
    assert reply.result.keys() == {"access", "refresh", "expires_in"}
    assert code(await ask("sessions/list", reply.result["access"])) is None
    assert code(await login(shown)) == "unauthenticated"
    assert code(await login(device.code())) is None


async def test_every_attempt_is_on_record(enrolled: tuple[Device, list[str]], running: dict[str, User]) -> None:
    device, codes = enrolled
    for refused in (await login(), await login(device.wrong_code())):
        (found,) = await entries_of(refused)
        assert (found["action"], found["outcome"], found["code"]) == ("auth/code", "refused", "unauthenticated")
        assert (found["resource_id"], found["details"]) == ("root", {"why": "it is wrong"})
    used, opened = await entries_of(await login(codes[0]))
    assert (used["action"], used["outcome"], used["resource_id"]) == ("auth/code", "success", "root")
    assert used["details"] == {"kind": "recovery code", "recovery_codes": 9}
    assert (opened["action"], opened["outcome"]) == ("auth/login", "success")
    assert (opened["user"], opened["user_id"]) == ("root", str(running["root"].pk))
    assert codes[0] not in str((used, opened))


async def test_a_recovery_code_works_once(enrolled: tuple[Device, list[str]]) -> None:
    _, codes = enrolled
    assert [code(await login(codes[1])) for _ in range(2)] == [None, "unauthenticated"]


async def test_others_need_none(enrolled: tuple[Device, list[str]]) -> None:
    assert code(await login(name="alice")) is None
    assert code(await login("123456", name="alice")) is None


async def test_a_code_that_is_no_text_of_its_length_is_not_looked_at(running: dict[str, User]) -> None:
    assert code(await login("1" * 65)) == "invalid_params"
    assert code(await ask("auth/login", username="root", password=PASSWORD, code=["1"])) == "invalid_params"


async def test_what_was_logged_in_before_refreshes_without_a_code(enrolled: tuple[Device, list[str]]) -> None:
    device, _ = enrolled
    pair = (await login(device.code())).result
    assert code(await ask("auth/refresh", refresh=pair["refresh"])) is None


async def test_a_login_does_not_outrun_a_second_factor(running: dict[str, User]) -> None:
    def enrol_root() -> None:
        enrol(running["root"])
        connection.close()

    def meanwhile() -> Entry:
        """Called when the password has been found right, and enough."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(enrol_root).result()
        return entry()

    with pytest.raises(WrongLogin):
        await log_in("root", PASSWORD, meanwhile)
    (family,) = await in_database(lambda: list(TokenFamily.objects.all()))
    assert family.revoked_at is not None


async def test_where_it_is_required_the_password_of_an_administrator_is_not_enough(
    running: dict[str, User], settings: Settings
) -> None:
    before = await pair_of("root")
    settings.ADMIN_SECOND_FACTOR = "required"
    refused = await login()
    assert code(refused) == "forbidden"
    assert refused.refusal is not None and "in the admin" in refused.refusal.message
    (found,) = await entries_of(refused)
    assert (found["action"], found["code"], found["resource_id"]) == ("auth/login", "forbidden", "root")
    assert code(await login(password="wrong")) == "unauthenticated"
    assert code(await login(name="alice")) is None
    # what has been let in stays
    assert code(await ask("auth/refresh", refresh=before.refresh)) is None
    device, _ = await in_database(enrol, running["root"])
    assert code(await login(device.code())) is None
