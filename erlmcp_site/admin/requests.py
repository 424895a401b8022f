"""Requests that the admin makes for the user who is logged in to it."""

import time
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from uuid_utils import uuid7

from erlmcp_site.admin.entries import RECORDED, address_of
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request


def ask(request: HttpRequest, method: str, params: Mapping[str, Any]) -> Reply:
    """The pipeline's answer to a method, with the rights of the admin's user; a refusal is in the answer.

    Not to be called inside a transaction: the writer, on its own connection, could wait for it for ever.
    """
    request.META[RECORDED] = True
    return async_to_sync(pipeline.run)(
        Request(
            id=str(uuid7()),
            method=method,
            params=params,
            transport="admin",
            timestamp=time.time(),
            credentials=Credentials(user=request.user),
            client_id="admin",
            source_ip=address_of(request),
            user_agent=request.headers.get("User-Agent", ""),
        )
    )


def ask_or_raise(request: HttpRequest, method: str, params: Mapping[str, Any]) -> Reply:
    """The same, for requests that are expected to succeed. Raises the refusal."""
    reply = ask(request, method, params)
    if reply.refusal is not None:
        raise reply.refusal
    return reply
