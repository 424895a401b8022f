"""Secrets that are sent anywhere are found nowhere: no entry, no waiting entry, no log line, no metric (quality 20)."""

import contextlib
from urllib.parse import quote

import httpx
import orjson
import pytest
from websockets.exceptions import InvalidStatus

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.sockets import Socket
from tests.stack.waiting import wait_until

FORGED = "2026-01-01T00:00:00.000Z INFO root: admin logged in"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEcanaryOfASigningKey\n-----END PRIVATE KEY-----"


def everything_kept(cluster: Cluster) -> str:
    """All that is kept or told of requests, as one text."""
    wait_until(lambda: cluster.truth.waiting_entries() == 0, 60, "all entries are moved")
    waiting = cluster.truth.main.rows("SELECT entry FROM audit_app_outboxentry")
    moved = cluster.truth.audit.rows("SELECT * FROM audit_app_auditentry")
    metrics = httpx.get(f"{cluster.nodes[0].base}/metrics", trust_env=False).text
    # of every process: the web process, the worker and beat write where the node does
    return "\n".join([str(waiting), str(moved), metrics, cluster.nodes[0].output])


@pytest.mark.parametrize(
    "what", ["access token", "refresh token", "API key", "password", "idempotency key", "signing key"]
)
async def test_a_secret_that_is_sent_anywhere_is_kept_nowhere(embedded: Cluster, what: str) -> None:
    pair, base = embedded.login("alice"), embedded.nodes[0].base
    if "canary" not in embedded.passwords:
        # not one of the first users, whose passwords are shown to whoever starts the first node
        embedded.add_user("canary")
    password = embedded.passwords["canary"]
    async with embedded.rest("alice") as rest:
        key = (await rest.call("keys/create", label="canary"))["key"]
    secret, hidden, shown = {
        "access token": (pair["access"], pair["access"].rpartition(".")[2], pair["access"]),
        "refresh token": (pair["refresh"], pair["refresh"].rpartition(".")[2], pair["refresh"]),
        "API key": (key, key[-20:], key),
        "password": (password, password, f"password={password}"),
        "idempotency key": ("canary-idempotency-1", "canary-idempotency-1", None),
        "signing key": (KEY, "canaryOfASigningKey", KEY),
    }[what]
    one_line = secret.replace("\n", " ")
    async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
        for authorization in ({}, {"Authorization": f"Bearer {pair['access']}"}):
            places = [
                ("GET", f"/api/v1/resources?password={quote(secret)}&limit=1", {}, None),
                ("GET", f"/api/v1/resources?limit={quote(secret)}", {}, None),
                ("GET", "/api/v1/resources", {"X-Password": one_line, "Cookie": f"session={one_line}"}, None),
                ("GET", "/api/v1/resources", {"Idempotency-Key": one_line, "X-Forwarded-For": one_line}, None),
                ("GET", "/api/v1/resources", {"Authorization": f"Basic {one_line}"}, None),
                ("POST", "/api/v1/auth/login", {}, {"username": "canary", "password": secret}),
                ("POST", "/api/v1/auth/login", {}, {"username": "nobody", "password": secret, "token": secret}),
                ("POST", "/api/v1/auth/login", {}, {"user": "canary", "passwort": secret}),
                ("POST", "/api/v1/auth/refresh", {}, {"refresh": secret}),
                ("POST", "/api/v1/auth/refresh", {}, {"access": secret}),
                ("POST", "/api/v1/sessions", {"Idempotency-Key": one_line}, {"backend": secret}),
                ("POST", "/api/v1/resources/batch", {}, {"operations": [{"method": secret, "params": {secret: 1}}]}),
                ("PUT", "/api/v1/resources/canary.local/a", {}, {"content": 1, "on_conflict": secret}),
                ("POST", "/api/v1/auth/login", {}, secret),
            ]
            if shown is not None:
                plain = shown.replace("\n", " ")
                places += [
                    ("GET", f"/api/v1/resources/canary.local/{quote(plain, safe='=')}", {}, None),
                    ("GET", f"/api/v1/{quote(plain, safe='=')}", {}, None),
                    ("GET", "/api/v1/resources", {"User-Agent": plain, "Session-Id": plain}, None),
                    ("GET", "/api/v1/resources", {"Request-Id": plain[:128], "Client-Id": plain}, None),
                    ("POST", "/api/v1/auth/login", {}, {"username": shown, "password": secret}),
                    ("POST", "/api/v1/subscriptions", {}, {"uri": f"resource://canary.local/{plain}"}),
                ]
            for verb, path, headers, body in places:
                sent = {"Content-Type": "application/json"} if body is not None else {}
                content = None if body is None else body if isinstance(body, str) else orjson.dumps(body)
                await http.request(verb, path, headers={**authorization, **headers, **sent}, content=content)
        for path in ("/", "/admin/", "/api/v1/docs", "/nowhere", "/health/ready", "/api/v1/events/stream"):
            await http.get(path, params={"password": secret, "token": secret}, headers={"Cookie": f"x={one_line}"})
        form = await http.get("/admin/login/")
        csrf = {"csrfmiddlewaretoken": http.cookies["erlmcp_csrf"], "username": "canary", "password": f"{secret}."}
        for sent in (csrf, {**csrf, "username": shown or "nobody"}, {**csrf, "csrfmiddlewaretoken": secret}):
            denied = await http.post("/admin/login/", data=sent, headers={"Referer": f"{base}/admin/login/"})
            assert denied.status_code in {200, 403} and form.status_code == 200
    for headers in ({"Cookie": f"erlmcp_admin={one_line}"}, {"Authorization": f"Basic {one_line}"}):
        with pytest.raises(InvalidStatus):
            await Socket.connect(base, headers=headers, path=f"/ws/v1?token={quote(secret)}")
    async with await embedded.socket("bob") as socket:
        calls: dict[str, dict[str, object]] = {
            "auth/login": {"username": "canary", "password": secret},
            "auth/authenticate": {"token": secret, "session": secret},
            "resources/read": {"uri": 1, "password": secret, "consistency": secret},
            (shown or "no/such"): {secret: secret},
        }
        for method, params in calls.items():
            with contextlib.suppress(Refused, ConnectionError):
                await socket.call(method, **params)
    kept = everything_kept(embedded)
    assert hidden not in kept, kept[max(0, kept.index(hidden) - 400) :][:900]
    assert "[redacted]" in kept or shown is None


async def test_controls_forge_no_line_and_break_no_entry(embedded: Cluster) -> None:
    evil = f"x\r\n{FORGED}\x1b[2J\0\u2028"
    async with await embedded.socket("bob") as socket:
        for method, params in {
            evil: {},
            "resources/read": {"uri": f"resource://canary.local/{evil}"},
            "auth/login": {"username": evil, "password": "x"},
            "sessions/get": {"session": evil},
        }.items():
            with pytest.raises(Refused):
                await socket.call(method, **params)
    async with embedded.rest() as rest:
        await rest.request("GET", quote(evil))
    everything_kept(embedded)
    assert not any(line.startswith(FORGED) for line in embedded.nodes[0].output.splitlines())
    ((count,),) = embedded.truth.audit.rows(
        "SELECT count(*) FROM audit_app_auditentry WHERE action LIKE %s OR resource_id LIKE %s",
        f"%{FORGED}%",
        f"%{FORGED}%",
    )
    assert count == 4
