"""Batches over HTTP: to anything that takes lines, and to Splunk's HTTP Event Collector."""

import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

import orjson
import urllib3

from audit_app.formats.record import PRODUCT, VERSION
from audit_app.sinks.configuration import Target, signing_key
from audit_app.sinks.receivers import MAX_REASON, EntriesRejected, Item, ReceiverAway
from audit_app.sinks.tls import tls_context
from telemetry_app.patience import Impatient, ImpatientTls, beginning, retry_after

# what a receiver says of us, or of the moment; every other 4xx is about what we have sent
OF_THE_SINK = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429})

# what HEC says of an event: no data, invalid data format, event field required, event field blank, indexed fields
OF_AN_EVENT = frozenset({5, 6, 12, 13, 15})


class Poster:
    """Posts to one URL, with no more patience than a send has. Redirects are not followed."""

    def __init__(self, target: Target) -> None:
        scheme = target.kind.rpartition("+")[2]
        self._seconds = target.numbers["timeout"]
        timeout = urllib3.Timeout(connect=self._seconds, read=self._seconds)
        if scheme == "https":
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                target.host, target.port, timeout=timeout, maxsize=1, ssl_context=tls_context(target)
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(target.host, target.port, timeout=timeout, maxsize=1)
        self._pool.ConnectionCls = ImpatientTls if scheme == "https" else Impatient
        self._path = target.path
        self._where = target.where
        self._hidden = [text.encode() for text in target.hidden]
        self._gzips = bool(target.numbers["gzip"])

    def packed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """The body as it is sent, and the headers that say so."""
        headers = {"User-Agent": f"{PRODUCT}/{VERSION}"}
        if not self._gzips:
            return body, headers
        return gzip.compress(body, compresslevel=5, mtime=0), headers | {"Content-Encoding": "gzip"}

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes, float | None]:
        """(status, the beginning of the answer, Retry-After in seconds). Raises ReceiverAway when none comes."""
        try:
            response = self._pool.request(
                "POST",
                self._path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = self._without_secrets(beginning(response, self._seconds))
                return response.status, answer, retry_after(response.headers.get("Retry-After"))
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise ReceiverAway(f"{self._where}: {error}") from error

    def _without_secrets(self, answer: bytes) -> bytes:
        """An answer is shown to operators, and some say back what they were sent."""
        for text in self._hidden:
            answer = answer.replace(text, b"[hidden]")
        return answer

    def close(self) -> None:
        self._pool.close()


class Web:
    """A batch of lines in one request, signed as Standard Webhooks says (standardwebhooks.com) when there is a secret.

    `webhook-id` and `Idempotency-Key` are the same when the same batch is sent again.
    """

    def __init__(self, target: Target) -> None:
        self._poster = Poster(target)
        self._secret = signing_key(target.texts.get("secret", ""))
        self._token = target.texts.get("token")
        self._type = "text/plain; charset=utf-8" if target.format == "cef" else "application/x-ndjson"

    def send(self, items: Sequence[Item], key: str) -> None:
        body, headers = self._poster.packed(b"".join(item.line + b"\n" for item in items))
        headers |= {"Content-Type": self._type, "webhook-id": key, "Idempotency-Key": key}
        if self._secret:
            headers |= signature(self._secret, key, int(time.time()), body)
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        judge(*self._poster.post(body, headers))

    def close(self) -> None:
        self._poster.close()


class Splunk:
    """Splunk's HTTP Event Collector: a JSON event for each entry, one after the other in one request."""

    def __init__(self, target: Target) -> None:
        self._poster = Poster(target)
        self._token = target.texts["token"]
        self._index = {"index": target.texts["index"]} if "index" in target.texts else {}
        self._type = f"{PRODUCT}:{target.format}"
        self._is_json = target.format != "cef"

    def send(self, items: Sequence[Item], key: str) -> None:
        body, headers = self._poster.packed(b"\n".join(map(self._event, items)))
        headers |= {"Content-Type": "application/json", "Authorization": f"Splunk {self._token}"}
        status, answer, after = self._poster.post(body, headers)
        if status == 400 and _splunk_code(answer) not in OF_AN_EVENT:
            raise ReceiverAway(_reason(status, answer))
        judge(status, answer, after)

    def close(self) -> None:
        self._poster.close()

    def _event(self, item: Item) -> bytes:
        entry = item.entry
        return orjson.dumps(
            {
                "time": round(entry.timestamp.timestamp(), 3),
                "source": PRODUCT,
                "sourcetype": self._type,
                **self._index,
                "event": orjson.Fragment(item.line) if self._is_json else item.line.decode(),
                "fields": {"entry_id": entry.id, "sequence": str(entry.sequence)},
            }
        )


def judge(status: int, answer: bytes, after: float | None) -> None:
    """Return when the batch was taken. Raises ReceiverAway or EntriesRejected."""
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in OF_THE_SINK:
        raise EntriesRejected(_reason(status, answer))
    raise ReceiverAway(_reason(status, answer), after)


def signature(secret: bytes, key: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that prove who sent a body, and when: HMAC-SHA256 over id, Unix time and the body as it is sent."""
    digest = hmac.digest(secret, b"%b.%d.%b" % (key.encode(), at, body), hashlib.sha256)
    return {"webhook-timestamp": str(at), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def _reason(status: int, answer: bytes) -> str:
    return f"HTTP {status} {answer[:MAX_REASON].decode(errors='replace')}".strip()


def _splunk_code(answer: bytes) -> int | None:
    try:
        code = orjson.loads(answer)["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None
