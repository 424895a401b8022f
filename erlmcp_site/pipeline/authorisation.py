"""May this caller do this? (seed §3.2.2, docs/access.md)"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from erlmcp_site.pipeline.method import Method, Need
from resources_app.errors import ResourceNotFound
from resources_app.patterns import Pattern
from sessions_app.access.decisions import may, may_anywhere
from sessions_app.access.index import Index
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import OF_PERMISSION, Verb
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden
from sessions_app.scopes import scope_text

ADMIN = Verb.ADMIN.permission


async def authorise(caller: Caller, method: Method, params: Mapping[str, Any]) -> None:
    """Check what the method needs, on what its parameters name.

    Raises Forbidden; for a resource that the caller may not even read ResourceNotFound, which says no more than that
    it may not exist (contract §2).
    """
    index = rulebook.index
    if index is None:
        index = await rulebook.read()
    if method.needs is not None:
        target = params.get(method.on) if method.on is not None else None
        _check(index, caller, method.name, Need(method.needs, target))
    if method.needs_of is not None:
        for need in method.needs_of(params):
            _check(index, caller, method.name, need)


async def demand(caller: Caller, method: str, permission: str, target: str | Pattern) -> None:
    """Check what a handler has found to be needed, where the parameters alone do not say. Raises as `authorise`."""
    _check(await rulebook.read(), caller, method, Need(permission, target))


def _check(index: Index, caller: Caller, method: str, need: Need) -> None:
    if not _is_met(index, caller, need):
        raise _refusal(index, caller, method, need)


def _is_met(index: Index, caller: Caller, need: Need) -> bool:
    verb, target = OF_PERMISSION.get(need.permission), need.target
    if verb is None:
        return caller.may(need.permission)
    if verb is Verb.ADMIN:
        if caller.may(ADMIN):
            return True
        return may_anywhere(index, caller, verb) if target is None else may(index, caller, verb, target)
    if target is None:
        # the handler demands it, once it knows of what
        return True
    if not may(index, caller, Verb.READ, target):
        return False
    return verb is Verb.READ or may(index, caller, verb, target)


def _refusal(index: Index, caller: Caller | None, method: str, need: Need) -> Forbidden | ResourceNotFound:
    told: dict[str, Any] = {} if need.operation is None else {"operation": need.operation}
    is_hidden = caller is None or need.target is None or not may(index, caller, Verb.READ, need.target)
    refusal: Forbidden | ResourceNotFound
    if is_hidden and need.permission.startswith("resources:"):
        refusal = ResourceNotFound(uri=str(need.target), **told)
    else:
        refusal = Forbidden(f"{method} needs {need.permission}.", needs=need.permission, **told)
    if caller is not None and caller.scopes is not None and _is_met(index, _unnarrowed(caller), need):
        is_on_resource = need.permission.startswith("resources:")
        refusal.lacking_scope = scope_text({need.permission} | ({Verb.READ.permission} if is_on_resource else set()))
    return refusal


def _unnarrowed(caller: Caller) -> Caller:
    return replace(caller, permissions=caller.granted, scopes=None)
