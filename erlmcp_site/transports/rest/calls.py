"""From a verb on an address to a method of the table, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_app.errors import InvalidParams
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.http.answers import Application
from erlmcp_site.transports.http.api import ApiView, Handler
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.encoding import Encoder

PRECONDITION_CODES = frozenset({"version_conflict", "already_exists"})


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks of the table of methods, and what makes the answer of the reply.

    `conditional`: a header stated the condition, so that its failure is a 412.
    """

    method: str
    params: Mapping[str, Any]
    encode: Encoder = encoding.result
    conditional: bool = False


class MethodView(ApiView):
    """A view whose handlers only decode: each returns the Call that a request stands for."""

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        call: Call = handler(incoming, **path)
        return answer_of(incoming, call, await pipeline.run(incoming.request(call.method, call.params)))


def answer_of(incoming: Incoming, call: Call, reply: Reply) -> Application:
    """The answer that a reply comes to."""
    if reply.refusal is None:
        return call.encode(incoming, reply)
    failed = call.conditional and reply.refusal.code in PRECONDITION_CODES
    return encoding.refused(incoming, reply, 412 if failed else None)


def fields_of(incoming: Incoming, *names: str) -> dict[str, Any]:
    """The fields of the query with these names that were given; the method's serializer checks them."""
    query = incoming.query
    return {name: query[name] for name in names if name in query}


def flag(incoming: Incoming, name: str) -> bool:
    """A yes or no of the query. Raises InvalidParams for anything but 1, true, 0, false."""
    value = incoming.query.get(name)
    if value is None or value in {"0", "false"}:
        return False
    if value in {"1", "true"}:
        return True
    raise InvalidParams(f"{name} is 1 or 0.")
