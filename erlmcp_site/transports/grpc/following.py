"""The RPC Follow: a follower whose outlet is the stream that answers (contract §2, §4)."""

from collections.abc import Awaitable, Callable

from audit_app.errors import Refusal
from erlmcp_site.transports.grpc.calls import read
from erlmcp_site.transports.grpc.generated import subscriptions_pb2 as messages
from erlmcp_site.transports.grpc.incoming import Context, Incoming
from erlmcp_site.transports.grpc.rpcs import Rpc
from erlmcp_site.transports.grpc.statuses import end, refuse
from erlmcp_site.transports.grpc.stream import EventStream
from erlmcp_site.transports.streams import admitted, streams


def following(rpc: Rpc) -> Callable[[bytes, Context], Awaitable[None]]:
    """What answers the calls of an RPC that follows."""

    async def follow(data: bytes, context: Context) -> None:
        incoming, stream = Incoming(context), EventStream(context)
        params, unread = read(rpc, data)
        request = incoming.request(rpc.method, params, stream, unread)
        told: tuple[tuple[str, str], ...] = (("request-id", request.id),)
        try:
            reply = await admitted(request)
            if reply.refusal is not None:
                end(context, reply)
                return
            session_id = await streams.keep(stream, request, reply.session_id)
            told = (*told, ("session-id", session_id))
            await context.send_initial_metadata((*told, ("log-offset", str(reply.offset))))
            started = messages.FollowResponse(started=messages.Started(**reply.result))
            await stream.live(started.SerializeToString(), reply.then)
            if stream.refusal is not None:
                refuse(context, stream.refusal, request.id, told)
        except Refusal as refusal:
            refuse(context, refusal, request.id, told)
        finally:
            stream.leave()

    return follow
