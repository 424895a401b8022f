"""A small issuer on loopback: its keys behind HTTP, its tokens as it likes, and what is asked of it counted."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pytest_django import Settings

from sessions_app.issuers.configuration import parse_issuers

AUDIENCE = "erlmcp"


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class OutsideIssuer:
    """Signs with `keys` by their ids; `status` and `body` override what its JWKS address answers."""

    def __init__(self, port: int) -> None:
        self.name = f"http://127.0.0.1:{port}"
        self.jwks_url = f"{self.name}/jwks.json"
        self.keys: dict[str, Any] = {"one": rsa_key(), "ec": ec.generate_private_key(ec.SECP256R1())}
        self.extra: list[Any] = []
        self.status = 200
        self.body: bytes | None = None
        self.asked: list[str] = []

    def settings(self, **more: Any) -> dict[str, Any]:
        """What TRUSTED_ISSUERS says of it."""
        algorithms = ["RS256", "ES256"]
        return {"issuer": self.name, "jwks_url": self.jwks_url, "audience": AUDIENCE, "algorithms": algorithms, **more}

    def claims(self, **more: Any) -> dict[str, Any]:
        at = int(time.time())
        return {"iss": self.name, "aud": AUDIENCE, "sub": "alice", "iat": at, "nbf": at, "exp": at + 300, **more}

    def token(self, kid: str = "one", headers: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """A token; claims that are None are left out."""
        told = {name: value for name, value in self.claims(**claims).items() if value is not None}
        algorithm = "ES256" if kid == "ec" else "RS256"
        header = {"kid": kid, "typ": "at+jwt", **(headers or {})}
        return jwt.encode(told, key or self.keys[kid], algorithm=algorithm, headers=header)

    def answer(self) -> bytes:
        if self.body is not None:
            return self.body
        sets = []
        for kid, key in self.keys.items():
            kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            sets.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"})
        return json.dumps({"keys": sets + self.extra}).encode()


def trust(settings: Settings, issuer: OutsideIssuer, **more: Any) -> None:
    """Have the settings name an issuer, and say more of it."""
    settings.TRUSTED_ISSUERS = parse_issuers(json.dumps([issuer.settings(**more)]))


@contextmanager
def outside_issuer() -> Iterator[OutsideIssuer]:
    """An issuer that answers, for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body = issuer.answer()
            self.send_response(issuer.status)
            if issuer.status in {301, 302, 307}:
                self.send_header("Location", f"{issuer.name}/elsewhere.json")
            self.send_header("Content-Type", "application/jwk-set+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: tests tell what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer = OutsideIssuer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
