"""A second factor on two nodes: one code logs in once, wherever it is used; the admin takes the next one."""

import asyncio
import re

import httpx

from tests.stack.cluster import Cluster

NAME = "holder"


def add_holder(cluster: Cluster) -> list[str]:
    """Make a superuser with a second factor; its recovery codes, which know no time that could run out."""
    cluster.passwords[NAME] = "holder passes here"
    lines = [
        "import time",
        "from django.contrib.auth.models import User",
        "from audit_app.system import system_entry",
        "from audit_app.writer import writer",
        "from sessions_app.factors.checking import ENROL, enrolment",
        "from sessions_app.factors.codes import code_at, new_secret",
        f"user = User.objects.create_superuser({NAME!r}, password={cluster.passwords[NAME]!r})",
        "secret = new_secret()",
        "code = code_at(secret, time.time())",
        "command, codes = enrolment(user, secret, code, system_entry(ENROL, 'user', user.username))",
        "writer.run(command)",
        "writer.close()",
        "print(*codes)",
    ]
    told = cluster.nodes[0].manage("shell", "-c", "\n".join(lines))
    return re.findall(r"(?:[a-z2-7]{6}-){3}[a-z2-7]{6}", told)


async def test_one_code_logs_in_once_on_all_nodes_and_the_admin_takes_the_next(pair: Cluster) -> None:
    first, second, *_ = await asyncio.to_thread(add_holder, pair)
    given = {"username": NAME, "password": pair.passwords[NAME]}
    async with pair.rest(node=0) as one, pair.rest(node=1) as two:

        async def attempt(number: int, **code: str) -> int:
            answer = await (one, two)[number % 2].request("POST", "auth/login", json=given | code)
            return answer.status_code

        assert await attempt(0) == 401
        statuses = await asyncio.gather(*(attempt(number, code=first) for number in range(4)))
    assert sorted(statuses) == [200] + [401] * 3
    async with httpx.AsyncClient(base_url=pair.nodes[1].base, timeout=30, trust_env=False) as browser:
        for code, status in ((first, 200), (second, 302)):
            await browser.get("/admin/login/")
            form = given | {"code": code, "csrfmiddlewaretoken": browser.cookies["erlmcp_csrf"]}
            assert (await browser.post("/admin/login/", data=form)).status_code == status
        assert (await browser.get("/admin/")).status_code == 200
        assert "8 recovery codes left" in (await browser.get("/admin/second-factor/")).text
