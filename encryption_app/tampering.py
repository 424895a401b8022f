"""What is told when something that is kept does not open: a security entry, a metric, a line of the log."""

import logging

from audit_app.commands import Record
from audit_app.system import system_entry
from audit_app.writer import writer
from encryption_app.envelope import Purpose
from encryption_app.errors import ContentTampered
from telemetry_app.metrics import TAMPERED

log = logging.getLogger(__name__)

for kind in (*(purpose.name.lower() for purpose in Purpose), "data key"):
    # from 0 on, so that the first one is seen as a rise
    TAMPERED.labels(kind)


def tampered(what: str, subject: str, **details: object) -> ContentTampered:
    """The refusal of whoever wanted to read it, once the operator has been told. `what` is "content", "data key", …"""
    TAMPERED.labels(what).inc()
    log.error("the %s of %s is not what was written", what, subject)
    refusal = ContentTampered()
    entry = system_entry("encryption/open", what, subject)
    writer.note(Record(entry=entry, refusal=refusal, details=details))
    return refusal
