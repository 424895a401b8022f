"""How a session of this era begins: `initialize`, and the client's word that it is ready."""

from mcp_types import RequestId
from pydantic import ValidationError

from erlmcp_site import VERSION
from erlmcp_site.transports.http.answers import Answer
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import error_answer, message_answer, result_message, turned
from erlmcp_site.transports.mcp.eras import LEGACY, NEWEST_LEGACY, SESSION_HEADER
from erlmcp_site.transports.mcp.exchange import Exchange, Turned
from erlmcp_site.transports.mcp.legacy.handshakes import KEY, Handshake, described, new_secret, told_id
from erlmcp_site.transports.mcp.legacy.posted import Posted
from erlmcp_site.transports.mcp.outcomes import told_of


async def begin(incoming: Incoming, message: Posted) -> Answer:
    """Begin a session of ours for a client, and tell it what is here."""
    assert message.id is not None
    exchange = Exchange(
        incoming=incoming, id=message.id, version=NEWEST_LEGACY, method="initialize", params=message.params
    )
    try:
        session_id = await _session(exchange)
    except Turned as turned_away:
        return turned(turned_away.refusal, incoming, turned_away.headers)
    except (kernel.MCPError, ValidationError) as error:
        return error_answer(message.id, await told_of(exchange, error), exchange.headers, 200)
    headers = [*exchange.headers, (SESSION_HEADER.encode(), session_id.encode())]
    return message_answer(_welcome(message.id, exchange.version), headers=headers)


async def ready(exchange: Exchange, handshake: Handshake) -> None:
    """The client has heard all that `initialize` told it. Raises MCPError, Turned."""
    await exchange.ask("sessions/update", {"session": handshake.session_id, "state": "active"})


async def _session(exchange: Exchange) -> str:
    """The Mcp-Session-Id of a new session. Raises ValidationError, MCPError, Turned."""
    params = kernel.handshake_of(exchange.params)
    if params.protocol_version in LEGACY:
        exchange.version = params.protocol_version
    said = described(params, exchange.version)
    exchange.client = said["client"]["name"]
    secret, secret_hash = new_secret()
    metadata = {KEY: {**said, "secret": secret_hash}}
    asked = {"state": "initializing", "client_id": exchange.client, "metadata": metadata}
    created = await exchange.ask("sessions/create", asked)
    return told_id(created["id"], secret)


def _welcome(id: RequestId, version: str) -> bytes:
    result = {
        "protocolVersion": version,
        "capabilities": {**kernel.CAPABILITIES, "logging": {}},
        "serverInfo": {"name": kernel.NAME, "version": VERSION},
        "instructions": kernel.INSTRUCTIONS,
    }
    return result_message(id, result)
