"""A fan-out server as the `websockets` documentation writes it: broadcast() to every connection of a channel.

`python -m benchmarks.peers.broadcast PORT`; followers open /c/<channel>, a publisher opens /publish and sends
"<channel> <payload>".
"""

import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

channels: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    path = connection.request.path
    if path == "/publish":
        async for message in connection:
            channel, payload = str(message).split(" ", 1)
            broadcast(channels[channel], payload)
        return
    follower_of = channels[path.removeprefix("/c/")]
    follower_of.add(connection)
    try:
        await connection.wait_closed()
    finally:
        follower_of.discard(connection)


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
