"""What tests of second factors share: a device, a user who has one, the form of the admin, and what is on record."""

import json
import time
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from audit_app.models import OutboxEntry
from audit_app.writer import writer
from sessions_app.factors.checking import enrolment
from sessions_app.factors.codes import STEP_SECONDS, code_at, new_secret
from sessions_app.models import SecondFactor
from tests.sessions.conftest import PASSWORD, entry

LOGIN = "/admin/login/"


class Device:
    """An authenticator. It shows the code of now, then the next one, which are good for half a minute at least."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._steps = iter((0, 1))

    def code(self) -> str:
        """One that it has not shown before."""
        return code_at(self.secret, time.time() + next(self._steps) * STEP_SECONDS)

    def wrong_code(self) -> str:
        near = {code_at(self.secret, time.time() + step * STEP_SECONDS) for step in range(-3, 4)}
        return next(code for code in map("{:06d}".format, range(10)) if code not in near)


def enrol(user: User) -> tuple[Device, list[str]]:
    """Give a user a second factor, long ago: its device, and the recovery codes."""
    secret = new_secret()
    command, codes = enrolment(user, secret, code_at(secret, time.time()), entry())
    writer.run(command)
    SecondFactor.objects.filter(user=user).update(last_step=0)
    return Device(secret), codes


def log_in(code: str = "", password: str = PASSWORD, name: str = "root") -> Client | None:
    """The admin after its form was sent; None when it has not let in."""
    client = Client()
    answer = client.post(LOGIN, {"username": name, "password": password, "code": code})
    return client if answer.status_code == 302 else None


def entries(action: str) -> list[dict[str, Any]]:
    """The entries of an action, each with its queue."""
    rows = OutboxEntry.objects.order_by("id").values_list("queue", "entry")
    found = [json.loads(text) | {"queue": queue} for queue, text in rows]
    return [one for one in found if one["action"] == action]


def outcomes(action: str) -> list[tuple[str, str | None]]:
    """How it ended each time, with the code of a refusal."""
    return [(one["outcome"], one["code"] or None) for one in entries(action)]
