"""What the pipeline knows of a method (contract §2)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from erlmcp_site.pipeline.passage import Passage
from resources_app.patterns import Pattern


class Params(Protocol):
    """What checks the parameters of a method: an instance of a DRF serializer."""

    def run_validation(self, data: Any = ...) -> Any: ...


@dataclass(frozen=True, slots=True)
class Need:
    """What is needed: a permission, and where it names something that rules decide on, the URI or pattern.

    `operation` is the place of what needs it in a batch.
    """

    permission: str
    target: str | Pattern | None = None
    operation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method.

    `needs` is the permission of the method ("resources:write", None: any authenticated caller, which has to be said),
    and `on` names the parameter with the URI or pattern that it is needed on; where that is not among the parameters,
    the handler demands it. Methods whose needs depend on their parameters otherwise (a batch) name them by `needs_of`.
    `public` methods take no credentials at all.
    `run` is given the passage, whose `params` have been validated, and returns the result. `reads` marks methods that
    change nothing; `AUDIT_READS` governs their entries, unless they are `always_recorded`. `resource` names the
    parameter that says what was touched, for the audit entry; where it is not given, `uri` does. `seconds` is how long
    it may take unless the caller says, for methods that are made to wait.
    """

    name: str
    run: Callable[[Passage], Awaitable[Any]]
    params: Params
    needs: str | None
    on: str | None = None
    needs_of: Callable[[Mapping[str, Any]], Iterable[Need]] | None = None
    public: bool = False
    reads: bool = False
    always_recorded: bool = False
    resource_type: str = ""
    resource: str | None = None
    seconds: float | None = None

    @property
    def takes_key(self) -> bool:
        """Whether it honours an idempotency key: every change does, of a caller who is known."""
        return not (self.reads or self.public)
