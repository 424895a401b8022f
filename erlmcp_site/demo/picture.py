"""A small PNG, drawn by code."""

import struct
import zlib


def png(size: int = 48) -> bytes:
    """A square RGB picture: rings around the middle, from blue to green."""
    rows = bytearray()
    middle = (size - 1) / 2
    for y in range(size):
        rows.append(0)
        for x in range(size):
            distance = ((x - middle) ** 2 + (y - middle) ** 2) ** 0.5 / middle
            ring = int(distance * 6) % 2 == 0
            rows += bytes((20, int(80 + 120 * min(1, distance)), 200) if ring else (240, 244, 250))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
