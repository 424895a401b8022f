"""The chain of checkpoints, checked one by one while the entries below them are walked."""

from collections.abc import Iterator

from audit_app.chain.bending import Bent
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import Anchor, Malformed, Signed, Statement, parse_payload
from audit_app.chain.trust import Keyring
from audit_app.models import Checkpoint

PORTION = 500


def checked_statements(
    anchor: Anchor, until: int, second: SecondPlace, size: int, keys: Keyring
) -> Iterator[Statement]:
    """The statements of the checkpoints behind the anchor, up to number `until`, each found to be in order.

    In order is one that goes on from the one before, is signed, and stands alike in the first `size` bytes of the
    second place, as far as that reaches. Raises Bent when the next one is not.
    """
    copies = _copies(second, size, anchor)
    copy = next(copies, None)
    for checkpoint in _stored(anchor.number, until):
        signed = _checked(checkpoint, anchor, keys)
        if copy is not None:
            if copy != signed:
                raise _bent(anchor, "is not the one that the second place has")
            copy = next(copies, None)
        anchor = Anchor.at(signed.statement)
        yield signed.statement
    if copy is not None and not Checkpoint.objects.filter(number=copy.statement.number).exists():
        raise _bent(anchor, "is gone; the second place has it")


def anchor_at(checkpoint: Checkpoint, keys: Keyring) -> Anchor:
    """What goes on from a checkpoint that is taken as it is, if only its signature is right. Raises Bent."""
    before = Anchor(checkpoint.number - 1, checkpoint.first - 1, "", "")
    try:
        statement = parse_payload(checkpoint.payload)
    except Malformed as error:
        raise _bent(before, f"was changed: {error}") from None
    fault = keys.fault(statement.key, statement.payload, checkpoint.signature)
    if fault:
        raise _bent(before, fault)
    return Anchor.at(statement)


def _stored(after: int, until: int) -> Iterator[Checkpoint]:
    stored = Checkpoint.objects.order_by("number").filter(number__lte=until)
    while portion := list(stored.filter(number__gt=after)[:PORTION]):
        yield from portion
        after = portion[-1].number


def _copies(second: SecondPlace, size: int, anchor: Anchor) -> Iterator[Signed]:
    """The checkpoints of the second place behind the anchor. Raises Bent for a line that is not the one due there."""
    for number, signed in second.read(size):
        if signed is None or signed.statement.number != number:
            raise Bent(anchor.last + 1, "checkpoint", f"line {number} of the second place is not checkpoint {number}")
        if number > anchor.number:
            yield signed
            anchor = Anchor.at(signed.statement)


def _checked(checkpoint: Checkpoint, anchor: Anchor, keys: Keyring) -> Signed:
    if checkpoint.number != anchor.number + 1:
        raise _bent(anchor, "is gone")
    try:
        statement = parse_payload(checkpoint.payload)
    except Malformed as error:
        raise _bent(anchor, f"was changed: {error}") from None
    columns = (checkpoint.number, checkpoint.first, checkpoint.last)
    if columns != (statement.number, statement.first, statement.last):
        raise _bent(anchor, "was changed: its columns do not say what was signed")
    signed = Signed(statement, checkpoint.signature)
    fault = keys.fault(statement.key, statement.payload, checkpoint.signature)
    if fault:
        raise _bent(anchor, fault)
    if statement.previous != anchor.digest or statement.first != anchor.last + 1:
        raise _bent(anchor, "does not go on from the one before")
    return signed


def _bent(anchor: Anchor, why: str) -> Bent:
    return Bent(anchor.last + 1, "checkpoint", f"checkpoint {anchor.number + 1} {why}")
