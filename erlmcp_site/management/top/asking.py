"""Asking a node for its snapshot, over its API like anybody else."""

import json
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

TIMEOUT_SECONDS = 5.0
MOST_BYTES = 16 * 1024 * 1024

Json = dict[str, Any]


class NoAnswer(Exception):
    """There is no snapshot to be had now; the message says why in a few words."""


class NotAllowed(NoAnswer):
    """Nor will there be one with what was shown: it is not good, or not enough."""


class Asker:
    """One caller of one node. `token` is an access token or an API key; with a login there may be a fresh one."""

    def __init__(self, url: str, token: str | None = None, login: tuple[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._login = login
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS)

    def ask(self) -> Json:
        """The snapshot. Raises NoAnswer, NotAllowed. An access token that has expired is replaced by another login."""
        if self._token is None:
            self._token = self._log_in()
        status, answer = self._request("GET", "/api/v1/telemetry", token=self._token)
        if status == 401 and self._login is not None:
            self._token = self._log_in()
            status, answer = self._request("GET", "/api/v1/telemetry", token=self._token)
        if status != 200:
            raise _refused(status, answer)
        return answer

    def _log_in(self) -> str:
        if self._login is None:
            raise NotAllowed("a token or a user is needed")
        user, password = self._login
        status, answer = self._request("POST", "/api/v1/auth/login", {"username": user, "password": password})
        if status != 200:
            raise _refused(status, answer)
        return str(answer["access"])

    def _request(
        self, method: str, path: str, body: Json | None = None, *, token: str | None = None
    ) -> tuple[int, Json]:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = self._pool.request(
                method, self.url + path, headers=headers, json=body, redirect=False, preload_content=False
            )
            try:
                data = response.read(MOST_BYTES)
            finally:
                response.release_conn()
            answer = json.loads(data)
        except HTTPError as error:
            raise NoAnswer(words(error)) from error
        except ValueError as error:
            raise NoAnswer(f"{self.url} is no node of erlmcp") from error
        if not isinstance(answer, dict):
            raise NoAnswer(f"{self.url} is no node of erlmcp")
        return response.status, answer


def _refused(status: int, answer: Json) -> NoAnswer:
    told = str(answer.get("detail") or answer.get("code") or f"status {status}")
    return NotAllowed(told) if status in {401, 403, 404} else NoAnswer(told)


def words(error: HTTPError) -> str:
    """What went wrong on the way, without the library's names for its own parts."""
    reason = error.__cause__ or error
    return str(getattr(reason, "strerror", None) or type(error).__name__.removesuffix("Error"))
