"""Until when the work of the present request has to be done: it goes along to the writer and to the database.

A context variable and not a parameter: between the pipeline, which sets it, and what waits for a database lie handlers,
caches and actions that have nothing to say about it.
"""

from contextvars import Context, ContextVar, copy_context

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""A moment of the monotonic clock, in seconds; None outside of requests."""


def without_deadline() -> Context:
    """The present context for a task whose work is not that of the present request alone."""
    context = copy_context()
    context.run(deadline.set, None)
    return context
