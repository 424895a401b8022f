"""What a client said when its session began, as the session's metadata keep it, and who may speak in that session.

The id that the client is told is that of our session, and a secret of which only the hash is kept: whoever has read the
id of a session in a list or in the trail cannot speak in it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from mcp_types import InitializeRequestParams

from audit_app.database import in_database
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.eras import LEGACY, SESSION_HEADER
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app.caches import Memory
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden, SessionNotFound
from sessions_app.queries import find_session
from sessions_app.records import SessionRecord
from sessions_app.sealed import open_session
from sessions_app.sessions import session_for

KEY: Final = "mcp"
"""Where in the metadata of a session it is."""

SECRET_BYTES: Final = 24
MAX_HELD: Final = 20_000
MAX_NAME: Final = 255
CAPABILITIES: Final = ("sampling", "elicitation", "roots", "tasks")
"""What a client can declare that means something here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What is known of a client. `log_level` is the lowest that it wants to hear of, None for our choice."""

    session_id: str
    secret_hash: str
    version: str
    client: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    log_level: str | None
    peer: kernel.Peer

    @property
    def name(self) -> str:
        """What the client calls itself, which proves nothing."""
        return str(self.client.get("name", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who has sent a message: a caller, in a session of the caller's own that lives, with the handshake of that."""

    caller: Caller
    session: SessionRecord
    handshake: Handshake


class NoSession(Exception):
    """The message names no session."""


def described(params: InitializeRequestParams, version: str) -> dict[str, Any]:
    """What of a handshake is kept, without its secret: what the SDK has not read as something that it knows is gone."""
    client = params.client_info
    said = params.capabilities.model_dump(by_alias=True, mode="json", exclude_none=True)
    declared = {name: said[name] for name in CAPABILITIES if name in said}
    return {
        "version": version,
        "client": {"name": _line(client.name), "version": _line(client.version)},
        "capabilities": declared,
    }


def new_secret() -> tuple[str, str]:
    """A secret of 192 bits, and the hash of it."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, _hash(secret)


def told_id(session_id: str, secret: str) -> str:
    """The Mcp-Session-Id of a session."""
    return f"{session_id}.{secret}"


class Handshakes:
    """The handshakes of sessions that were used last in this process; control events drop those that have changed."""

    def __init__(self) -> None:
        self._held: Memory[str, Handshake] = Memory(MAX_HELD)
        self._changes = 0

    async def speaker(self, incoming: Incoming, caller: Caller) -> Speaker:
        """Who sends a message. Raises NoSession, SessionNotFound; Refusal when the keys are away."""
        id, _, secret = incoming.headers.get(SESSION_HEADER, "").partition(".")
        if not id:
            raise NoSession
        try:
            session = await session_for(caller, id, "")
        except Forbidden:
            # suspended by an admin: to the client it is not there, and it may begin another one
            raise SessionNotFound() from None
        handshake = self._held.get(id) or await self._load(id, caller)
        if not compare_digest(_hash(secret), handshake.secret_hash):
            raise SessionNotFound()
        return Speaker(caller=caller, session=session, handshake=handshake)

    def follow_control(self, event: ControlEvent) -> None:
        """Take in a control event: hold nothing that it says is another now."""
        if event.kind == CONTROL_LOST:
            self._changes += 1
            self._held.clear()
        elif event.kind.startswith("session."):
            self._changes += 1
            self._held.drop(event.subject)

    async def _load(self, id: str, caller: Caller) -> Handshake:
        changes = self._changes
        record = await open_session(await in_database(find_session, id, caller.user_id))
        handshake = _handshake(record)
        if changes == self._changes:
            self._held.put(id, handshake)
        return handshake


def _handshake(record: SessionRecord) -> Handshake:
    """The handshake in the metadata of a session, which its user may have changed. Raises SessionNotFound."""
    match record.metadata.get(KEY):
        case {
            "version": str(version),
            "secret": str(secret_hash),
            "client": dict(client),
            "capabilities": dict(capabilities),
            **rest,
        } if version in LEGACY:
            level = rest.get("log_level")
            return Handshake(
                session_id=record.id,
                secret_hash=secret_hash,
                version=version,
                client=client,
                capabilities=capabilities,
                log_level=level if isinstance(level, str) else None,
                peer=kernel.peer_of(version, client, capabilities),
            )
    raise SessionNotFound()


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:MAX_NAME]


handshakes = Handshakes()
hub.on_control(handshakes.follow_control)
