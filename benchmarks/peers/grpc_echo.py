"""A grpc.aio server that does nothing but know a token and send back what it was sent: `python -m … <port>`.

Its token is as long as ours are, and it tells as much in trailing metadata as ours does of a read.
"""

import sys
from typing import Any

import grpc
import uvloop

TOKEN = f"Bearer {'only-for-figures.' * 36}"
"""As long as an access token of ours."""

TOLD = (
    ("request-id", "01a223b3-9a65-7495-ae85-23dc0d35b440"),
    ("log-offset", "1"),
    ("session-id", "01a223b3-95d3-7712-b8fe-d3d53a0c6f11"),
    ("ratelimit-policy", '"caller";q=999999999;w=1'),
    ("ratelimit", '"caller";r=999999998;t=1'),
)


class Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(echo)


async def echo(data: bytes, context: Any) -> bytes:
    if dict(context.invocation_metadata()).get("authorization") != TOKEN:
        context.set_code(grpc.StatusCode.UNAUTHENTICATED)
    context.set_trailing_metadata(TOLD)
    return data


async def serve(port: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
