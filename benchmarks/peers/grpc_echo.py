"""A grpc.aio server that does nothing but know a token and send back what it was sent: `python -m … <port>`."""

import sys
from typing import Any

import grpc
import uvloop

TOKEN = "Bearer only for figures"


class Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(echo)


async def echo(data: bytes, context: Any) -> bytes:
    if dict(context.invocation_metadata()).get("authorization") != TOKEN:
        context.set_code(grpc.StatusCode.UNAUTHENTICATED)
    context.set_trailing_metadata((("request-id", "1"), ("log-offset", "1"), ("session-id", "1")))
    return data


async def serve(port: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
