"""What the pipeline knows of a method (contract §2)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from erlmcp_site.pipeline.passage import Passage
from resources_app.patterns import Pattern
from resources_app.queries import Consistency
from sessions_app.limits import MethodClass

CAUSAL = Consistency.CAUSAL


class Params(Protocol):
    """What checks the parameters of a method: an instance of a DRF serializer."""

    def run_validation(self, data: Any = ...) -> Any: ...


class Need(NamedTuple):
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
    it may take unless the caller says, for methods that are made to wait. `rate_class` is the class whose limit it
    counts against beside the caller's (None: reads or changes, by `reads`); `parts` names the parameter that lists
    the things that one request asks for: it costs as many, or one for every `parts_a_token` of them. One that
    `is_causal` takes a `consistency`, and reflects how far its session has got unless that is another one.
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
    rate_class: MethodClass | None = None
    parts: str | None = None
    parts_a_token: int = 1
    is_causal: bool = False

    @property
    def counts_as(self) -> MethodClass:
        """The class whose limit it counts against."""
        return self.rate_class or (MethodClass.READS if self.reads else MethodClass.CHANGES)

    def cost(self, params: object) -> int:
        """How many tokens a request costs whose parameters have not been checked yet."""
        if self.parts is None or not isinstance(params, Mapping):
            return 1
        parts = params.get(self.parts)
        return max(1, -(-len(parts) // self.parts_a_token)) if isinstance(parts, list | tuple) else 1

    def asks_position(self, params: object) -> bool:
        """Whether a request may need its session's position, whose parameters have not been checked yet."""
        return self.is_causal and isinstance(params, Mapping) and params.get("consistency", CAUSAL) == CAUSAL

    @property
    def takes_key(self) -> bool:
        """Whether it honours an idempotency key: every change does, of a caller who is known."""
        return not (self.reads or self.public)
