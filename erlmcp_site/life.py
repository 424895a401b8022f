"""The entries of a process that serves: when it came, with which settings, and how it went (queue system)."""

import os
import socket
from hashlib import sha256

import orjson

from audit_app.demand import Demand
from audit_app.system import leave
from audit_app.writer import writer
from erlmcp_site.celery import app
from erlmcp_site.environment import changed_settings, effective_settings

MOVER = "audit_app.tasks.move_outbox"

demand = Demand(lambda: app.send_task(MOVER, expires=5, retry=False))
writer.count_entries(demand.count)


def started() -> None:
    """The process follows the log. A second entry says with which settings: a digest of all that have effect, without
    the secrets among them, and the names of those that are not the default."""
    leave("node/start", **_process())
    leave("node/configuration", **configuration())


def ready() -> None:
    """The process answers requests."""
    leave("node/ready", **_process())


def draining() -> None:
    """The process was told to end, and lets go of its clients."""
    leave("node/drain", **_process())


def stopping() -> None:
    """The process serves nobody any more; what it leaves from here on is written before it is gone."""
    leave("node/stop", **_process())


def configuration() -> dict[str, object]:
    """What an entry tells of the settings."""
    digest = sha256(orjson.dumps(effective_settings(), option=orjson.OPT_SORT_KEYS)).hexdigest()
    return {"digest": digest, "changed": changed_settings()}


def _process() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid()}
