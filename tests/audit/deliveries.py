"""Deliveries to receivers, as a sink makes them."""

from collections.abc import Sequence
from typing import Any

from audit_app.formats import FORMATS
from audit_app.queries import entry_json
from audit_app.sinks.configuration import parse_sink
from audit_app.sinks.kinds import receiver_of
from audit_app.sinks.receivers import Item
from tests.audit.trails import entry_numbered


def items(count: int, format: str = "jsonl", **fields: Any) -> list[Item]:
    entries = [entry_numbered(number, **fields) for number in range(1, count + 1)]
    return [Item(entry, FORMATS[format](entry_json(entry))) for entry in entries]


def send(url: str, wanted: Sequence[Item], key: str = "siem-0-1-1") -> None:
    receiver = receiver_of(parse_sink(url))
    try:
        receiver.send(wanted, key)
    finally:
        receiver.close()
