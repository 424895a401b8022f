"""What `serve` tells whoever has started it: where things are, and one line to try."""

from collections.abc import Mapping

from django.conf import settings

ADDRESSES = {
    "console": "/",
    "API documentation": "/api/v1/docs",
    "admin": "/admin/",
    "WebSocket": "/ws/v1",
    "metrics": "/metrics",
    "health": "/health/ready",
}
DEMO_RESOURCE = "demo.local/weather/helsinki"


def addresses(url: str) -> list[str]:
    """One line for each address; the address comes first, as lines that begin with a user show a password."""
    base = {name: url.replace("http", "ws", 1) if name == "WebSocket" else url for name in ADDRESSES}
    lines = {base[name] + path: name for name, path in ADDRESSES.items()}
    if settings.GRPC_PORT is not None:
        lines[f"{url.rpartition('/')[2].rpartition(':')[0]}:{settings.GRPC_PORT}"] = "gRPC"
    return [f"  {address:<42} {name}" for address, name in lines.items()]


def command_to_try(url: str, passwords: Mapping[str, str], *, with_demo: bool) -> str:
    """A shell command that works when pasted: reads as alice, or asks for the health.

    Her password is known at the first start only; in production an address of this machine answers nothing but probes.
    """
    if settings.PRODUCTION or "alice" not in passwords:
        return f"curl -s {url}/health/ready"
    login = (
        f"curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' "
        f'-d \'{{"username":"alice","password":"{passwords["alice"]}"}}\' '
        """| sed -E 's/.*"access": ?"([^"]+)".*/\\1/'"""
    )
    target = f"/api/v1/resources/{DEMO_RESOURCE}" if with_demo else "/api/v1/resources"
    return f'curl -s {url}{target} -H "Authorization: Bearer $({login})"'
