"""Kombu's broker of files, with messages that are there whole or not at all.

Kombu's own opens a message under its last name and writes it then: on a full disk that leaves empty ones, and each of
them ends the worker that reads it.
"""

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

POLL_SECONDS = 0.2
"""How often a worker looks into the folder: each second, as kombu does, is late for what somebody waits for."""


class Channel(filesystem.Channel):
    """Adds a message under another name first."""

    # kombu's own classes do not agree on the names
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        file = Path(self.data_folder_out) / f"{time.monotonic_ns() // 1_000_000}_{uuid4()}.{queue}.msg"
        part = file.with_suffix(".part")
        try:
            part.write_text(dumps(payload))
            part.rename(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ChannelError(f"a message could not be added: {error}") from error


class Transport(filesystem.Transport):
    """For Celery's setting `broker_transport`."""

    Channel = Channel
    polling_interval = POLL_SECONDS

    # kombu's own classes do not agree on the parameters
    def drain_events(self, connection: Any, timeout: float = POLL_SECONDS, **kwargs: Any) -> None:
        """Take a message, or raise TimeoutError soon: Celery asks for longer, and hears only then that it shall end."""
        super().drain_events(connection, timeout=min(timeout, POLL_SECONDS), **kwargs)  # type: ignore[no-untyped-call]
