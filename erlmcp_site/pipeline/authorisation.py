"""May this caller do this? (seed §3.2.2)"""

from collections.abc import Iterable, Mapping
from typing import Any

from erlmcp_site.pipeline.method import Method
from resources_app.errors import ResourceNotFound
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden

READ = "resources:read"


def authorise(caller: Caller, method: Method, params: Mapping[str, Any]) -> None:
    """Check what the method needs.

    Raises Forbidden; for a resource that the caller may not even read ResourceNotFound, which says no more than that
    it may not exist (contract §2).
    """
    for need in _needs(method, params):
        if caller.may(need):
            continue
        if need.startswith("resources:") and not caller.may(READ):
            named: dict[str, Any] = {"uri": str(params["uri"])} if "uri" in params else {}
            raise ResourceNotFound(**named)
        raise Forbidden(f"{method.name} needs {need}.", needs=need)


def _needs(method: Method, params: Mapping[str, Any]) -> Iterable[str]:
    if method.needs is not None:
        yield method.needs
    if method.needs_of is not None:
        yield from method.needs_of(params)
