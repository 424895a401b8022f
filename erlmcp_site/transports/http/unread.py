"""Requests that no method could be asked with: they walk the pipeline all the same, to be refused (contract §8)."""

from audit_app.errors import Refusal
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import UNKNOWN, Reply, Transport, Unread
from erlmcp_site.transports.http.incoming import Incoming


class Undecodable(Exception):
    """A request for a method of the table that could not be read, and why."""

    def __init__(self, refusal: Refusal, method: str, transport: Transport) -> None:
        self.refusal = refusal
        self.method = method
        self.transport = transport
        super().__init__(f"{method}: {refusal}")


async def refuse(incoming: Incoming, refusal: Refusal, method: str = UNKNOWN, transport: Transport = "rest") -> Refusal:
    """Leave the entry of a refused request. Returns the refusal to answer with: that of the limits may come first."""
    unread = Unread(refusal=refusal, address=f"{incoming.method} {incoming.path}")
    reply: Reply = await pipeline.run(incoming.request(method, {}, transport, unread=unread))
    return reply.refusal or refusal
