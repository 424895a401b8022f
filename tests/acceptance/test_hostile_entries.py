"""Whatever clients write into what is recorded, it reaches the trail, which stays in order, and every export."""

import asyncio
import contextlib
import re
from urllib.parse import quote

import orjson

from tests.stack.cluster import Cluster
from tests.stack.waiting import eventually

HOSTILE = {
    "line ends": b"a\r\nINFO forged: entry\n",
    "ansi": b"\x1b[2J\x1b[31mred\x9b",
    "nul": b"a\0b\\u0000",
    "surrogates": b"\xed\xa0\x80 \\ud800 \xed\xbf\xbf",
    "no text": bytes(range(128, 256)),
    "separators": "\u2028\u2029\u0085\u202e\ufeff\uffff\U0010ffff".encode(),
    "huge": b"x\xc3\xa9" * 1_300,
    "formula": b"=cmd|' /C calc'!A1|cef=1\\=\\|",
}
PLACES = (
    *(b"resources/", b"resources?prefix=", b"resources?cursor=", b"resources/demo.local/"),
    *(b"audit?user=", b"audit?cursor=", b"sessions/", b"nowhere/"),
)
FORMS = ("jsonl", "csv", "ocsf", "ecs", "cef")
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


async def test_a_trail_of_hostile_texts_is_in_order(stack: Cluster) -> None:
    node = stack.nodes[0]
    seen = len(node.output)
    for name, text in HOSTILE.items():
        await send_everywhere(stack, name, text)
    await eventually(lambda: stack.truth.waiting_entries() == 0, 30, "the outbox is empty")
    node.manage("audit", "checkpoint")
    found = orjson.loads(node.manage("audit", "verify", "--json"))
    assert found["ok"], found
    outputs = {form: node.folder / f"hostile.{form}" for form in FORMS}
    # in one process: Django's start takes longer than an export
    exports = [
        f"call_command('audit', 'export', '--format', {form!r}, '--output', {str(output)!r})"
        for form, output in outputs.items()
    ]
    node.manage("shell", "-c", "\n".join(["from django.core.management import call_command", *exports]))
    for form, output in outputs.items():
        lines = output.read_bytes().decode().split("\n")[:-1]
        assert len(lines) >= found["entries"]
        if form in ("csv", "cef"):
            assert not [line for line in lines if CONTROLS.search(line)]
        else:
            assert all(orjson.loads(line) for line in lines)
    log = node.output[seen:]
    assert "Traceback" not in log
    assert not CONTROLS.search(log.replace("\t", ""))


async def send_everywhere(stack: Cluster, name: str, text: bytes) -> None:
    """A text in whatever of a request is recorded, over REST and over a socket; nothing is answered with a 5xx."""
    in_url, in_json = quote(text).encode(), orjson.dumps(text.decode(errors="replace"))
    lone = b'"\\ud800"' if name == "surrogates" else in_json
    in_header = re.sub(rb"[\r\n\0]", b"\t", text)
    token = stack.token("alice").encode()
    requests = [
        (b"POST", b"auth/login", body)
        for body in (
            b'{"username":%s,"password":%s}' % (in_json, lone),
            b'{"username":%s,"password":"x"}' % lone,
            b'{"username":"' + text + b'"}',
        )
    ]
    requests += [(b"GET", place + in_url, b"") for place in PLACES]
    requests += [
        (b"PUT", b"resources/demo.local/hostile/" + name.encode().replace(b" ", b"-"), body)
        for body in (in_json, lone, b'{"a":%s}' % lone, b'{"%s":1}' % text, b'{"content":{"a":%s}}' % in_json)
    ]
    for authorization in (b"Bearer " + token, b"Bearer " + in_header, b""):
        asked = (ask(stack, verb, path, body, authorization, in_header) for verb, path, body in requests)
        for (verb, path, _), status in zip(requests, await asyncio.gather(*asked), strict=True):
            assert status is None or status < 500, (verb, path, status)
    async with await stack.socket("alice") as socket:
        for message in (
            b'{"jsonrpc":"2.0","id":%s,"method":%s}' % (lone, in_json),
            b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % in_json,
            b'{"jsonrpc":"2.0","id":"a","method":%s,"params":{%s:%s}}' % (in_json, in_json, in_json),
            b'{"jsonrpc":"2.0","id":"b","method":"resources/read","params":{"uri":%s}}' % in_json,
            b'{"jsonrpc":"2.0","id":"c","method":"sessions/get","params":{"session":%s}}' % lone,
            b'{"jsonrpc":"2.0","id":"d","method":"audit/list","params":{"user":%s,"resource":%s}}' % (in_json, in_json),
        ):
            await socket.send(message.decode(errors="replace"))
        await socket.call("ping")


async def ask(stack: Cluster, verb: bytes, path: bytes, body: bytes, authorization: bytes, header: bytes) -> int | None:
    """The status of the answer; None when the connection was closed without one."""
    host, port = stack.nodes[0].base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"\r\n".join(
        (
            verb + b" /api/v1/" + path + b" HTTP/1.1",
            b"Host: " + host.encode(),
            b"Connection: close",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *([b"Authorization: " + authorization] if authorization else []),
            *(name + b": " + header for name in (b"User-Agent", b"X-Request-ID", b"Idempotency-Key", b"Session-Id")),
        )
    )
    with contextlib.suppress(ConnectionError):
        writer.write(head + b"\r\n\r\n" + body)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return int(answer.split(b" ", 2)[1]) if answer else None
    return None
