"""Merkle trees as RFC 6962 §2.1 has them: one hash for many entries, and a short proof that one of them is among them.

The leaves are the entries' hashes, 32 bytes each, in their order. Nothing here keeps more than one hash a level of the
tree, however many leaves there are.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256


class Tree:
    """A tree that grows leaf by leaf."""

    def __init__(self) -> None:
        self._complete: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        height, node = 0, leaf_hash(leaf)
        while self._complete and self._complete[-1][0] == height:
            node = node_hash(self._complete.pop()[1], node)
            height += 1
        self._complete.append((height, node))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash of the leaves so far."""
        if not self._complete:
            return sha256(b"").digest()
        *left, (_, root) = self._complete
        for _, node in reversed(left):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash of the leaves."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root


def siblings(index: int, size: int) -> Sequence[range]:
    """Of which leaves the audit path of a leaf is made: one range a hash, the deepest first (RFC 6962 §2.1.1)."""
    found: list[range] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            found.append(range(middle, stop))
            stop = middle
        else:
            found.append(range(start, middle))
            start = middle
    return found[::-1]


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to from one of `size` leaves; None when it is not as long as it has to be."""
    places = siblings(index, size)
    if not 0 <= index < size or len(places) != len(path):
        return None
    node = leaf_hash(leaf)
    for place, sibling in zip(places, path, strict=True):
        node = node_hash(node, sibling) if place.start > index else node_hash(sibling, node)
    return node


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1
