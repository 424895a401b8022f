"""The sockets that the web processes listen on, bound once by their parent."""

import errno
import resource
import socket
from ipaddress import ip_address

BACKLOG = 4096


class CannotListen(Exception):
    """The address cannot be listened on; the message says why."""


def listen(host: str, port: int, count: int, name: str = "PORT") -> list[socket.socket]:
    """`count` sockets on one address, which the kernel spreads connections over; inheritable by child processes.

    They belong to the parent, so a connection that arrives while a web process restarts waits and is not refused.
    Raises CannotListen, which tells of the setting `name`.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        first = _bound(family, address, shared=False)
        if count == 1:
            sockets = [first]
        else:
            # SO_REUSEPORT would let another program in silently, so whether the port is free is asked without it
            address = first.getsockname()
            first.close()
            sockets = [_bound(family, address, shared=True) for _ in range(count)]
        for listener in sockets:
            listener.listen(BACKLOG)
            listener.set_inheritable(True)
        return sockets
    except OSError as error:
        raise CannotListen(_reason(host, port, name, error)) from None


def is_of_this_machine(listener: socket.socket) -> bool:
    """Whether only programs on this machine can reach a socket."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def url_of(listener: socket.socket) -> str:
    """The address as a browser on this machine takes it."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_file_limit() -> None:
    """Let this process and its children have as many sockets open as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _reason(host: str, port: int, name: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. End it, or choose another: {name}={port + 1} make run"
        )
    if error.errno == errno.EACCES:
        return f"{name} is {port}, and ports below 1024 need rights that this user does not have. Choose one above."
    return f"Cannot listen on HOST {host}, {name} {port}: {error.strerror or error}."
