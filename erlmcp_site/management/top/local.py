"""Looking at a node of this machine: what its processes show each other below VAR_DIR, and its health.

It needs no credential but the right to read those files, which the node's own user has and nobody else.
"""

import json
from dataclasses import asdict
from pathlib import Path

import urllib3
from django.conf import settings
from urllib3.exceptions import HTTPError

from erlmcp_site.management.top.asking import TIMEOUT_SECONDS, Json, NoAnswer, words
from resources_app.hub.slow_topics import of_node
from telemetry_app.figures import figures
from telemetry_app.publishing import look
from telemetry_app.snapshot import snapshot
from telemetry_app.state import State
from telemetry_app.windows import Window


class Looker:
    """Makes the snapshot that the node would answer; what the databases hold is as old as its last look at them."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS)

    def ask(self) -> Json:
        """The snapshot. Raises NoAnswer."""
        state = self._state()
        topics = [{"uri": str(topic.pattern), **_numbers(asdict(topic))} for topic in of_node(state.notes)]
        return {
            "health": self._health(),
            "figures": figures(Window(state)),
            "slow_topics": topics,
            "metrics": snapshot(state),
        }

    def _state(self) -> State:
        folder = Path(settings.VAR_DIR) / "metrics"
        try:
            state = look(folder)
        except FileNotFoundError:
            state = None
        except OSError as error:
            raise NoAnswer(
                f"{folder} cannot be read ({error.strerror}): it is for the user whom the node runs as"
            ) from error
        if state is None:
            raise NoAnswer(f"no process of a node keeps its figures in {folder}")
        return state

    def _health(self) -> Json:
        try:
            found: Json = json.loads(self._pool.request("GET", f"{self.url}/health/ready").data)
        except HTTPError as error:
            raise NoAnswer(words(error)) from error
        except ValueError as error:
            raise NoAnswer(f"{self.url} is no node of erlmcp") from error
        return found


def _numbers(topic: Json) -> Json:
    del topic["pattern"]
    return topic
