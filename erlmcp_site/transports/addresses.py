"""Where a request comes from: the peer of the socket, or what trusted proxies say of the client in front of them."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings

MAX_HOPS = 32

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def source_address(scope: Mapping[str, Any]) -> str:
    """The address of the client of an ASGI scope; empty when the server knows none (a Unix socket)."""
    peer = scope.get("client")
    if not peer:
        return ""
    address: str = peer[0]
    trusted: Sequence[Network] = settings.TRUSTED_PROXIES
    if not trusted:
        return address
    hops = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return client_behind(address, hops, trusted)


def scheme_of(scope: Mapping[str, Any]) -> str:
    """`https` or `http`: what the client's own connection speaks, by the socket or by the trusted proxy in front of us.

    Of several X-Forwarded-Proto values the last counts: it is what the proxy next to us says.
    """
    own = "https" if scope.get("scheme") in {"wss", "https"} else "http"
    peer = scope.get("client")
    if not peer or not is_trusted(peer[0], settings.TRUSTED_PROXIES):
        return own
    told = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    last = told[-1].decode("latin-1").rpartition(",")[2].strip().lower() if told else ""
    return last if last in {"http", "https"} else own


def client_behind(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """The rightmost address that is no trusted proxy's, of the X-Forwarded-For headers (in order) and the peer.

    A peer that is not trusted is the answer, whatever it sends. An entry that is no address ends the search at the
    proxy that sent it. At most the last 32 entries are looked at.
    """
    address = _parse(peer)
    if address is None or not is_trusted(peer, trusted):
        return peer
    hops = ",".join(forwarded_for).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    for hop in reversed(hops):
        client = _parse(hop)
        if client is None:
            break
        address = client
        if not _is_in(address, trusted):
            break
    return str(address)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether what this peer says of others in X-Forwarded headers may be believed."""
    address = _parse(peer) if trusted else None
    return address is not None and _is_in(address, trusted)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """An address as it stands in X-Forwarded-For: bare, with a port, or in brackets; IPv4 in IPv6 counts as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
