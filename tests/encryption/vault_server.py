"""A stand-in for HashiCorp Vault that keeps the HTTP contract of its Transit engine, as far as erlmcp uses it.

From its documentation (Transit secrets engine, HTTP API): create, read, configure and delete a key, encrypt and decrypt
with associated data, statuses 200, 204, 400, 403, 404 and 503, and errors as {"errors": […]}.
"""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.a-token-of-this-test"
PREFIX = "vault:v1:"

Answer = tuple[int, dict[str, Any] | None]


class VaultServer:
    """Serves on a private port. While `sealed` it answers 503; while `silent`, it takes calls and says nothing."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.deletable: set[str] = set()
        self.sealed = False
        self.silent = False
        self.asked: list[dict[str, Any]] = []
        self.woken = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.woken.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, verb: str, path: str, token: str | None, data: dict[str, Any]) -> Answer:
        """Status and body of an answer."""
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        self.asked.append(data)
        match path.strip("/").split("/"):
            case ["v1", "transit", "keys", name]:
                return self._key(verb, name, data)
            case ["v1", "transit", "keys", name, "config"]:
                if name not in self.keys:
                    return 400, {"errors": ["no existing key named " + name + " could be found: not found"]}
                if data.get("deletion_allowed"):
                    self.deletable.add(name)
                return 200, {"data": {"name": name}}
            case ["v1", "transit", "encrypt", name]:
                key = self.keys.setdefault(name, os.urandom(32))
                nonce = os.urandom(12)
                plain = base64.b64decode(data["plaintext"])
                sealed = nonce + AESGCM(key).encrypt(nonce, plain, _associated(data))
                return 200, {"data": {"ciphertext": PREFIX + base64.b64encode(sealed).decode(), "key_version": 1}}
            case ["v1", "transit", "decrypt", name]:
                return self._decrypted(name, data)
        return 404, {"errors": []}

    def _key(self, verb: str, name: str, data: dict[str, Any]) -> Answer:
        if verb == "GET":
            return (
                (200, {"data": {"name": name, "type": "aes256-gcm96"}}) if name in self.keys else (404, {"errors": []})
            )
        if verb == "DELETE":
            if name not in self.deletable:
                return 400, {"errors": ["deletion is not allowed for this key"]}
            self.keys.pop(name, None)
            return 204, None
        assert data == {"type": "aes256-gcm96"}
        self.keys.setdefault(name, os.urandom(32))
        return 200, {"data": {"name": name}}

    def _decrypted(self, name: str, data: dict[str, Any]) -> Answer:
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        text = data["ciphertext"]
        if not text.startswith(PREFIX):
            return 400, {"errors": ["invalid ciphertext: no prefix"]}
        try:
            sealed = base64.b64decode(text.removeprefix(PREFIX), validate=True)
            plain = AESGCM(self.keys[name]).decrypt(sealed[:12], sealed[12:], _associated(data))
        except (InvalidTag, ValueError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_call(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if vault.silent:
                    vault.woken.wait(30)
                    return
                token = self.headers.get("X-Vault-Token")
                status, document = vault.answer(self.command, self.path, token, json.loads(body or b"{}"))
                text = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = handle_call

            def log_message(self, *arguments: object) -> None:
                """Nobody reads that."""

        return Handler


def _associated(data: dict[str, Any]) -> bytes:
    return base64.b64decode(data.get("associated_data", ""))
