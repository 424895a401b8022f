"""The one table of methods: every method has one name, one need, one serializer and one handler (contract §2).

Transports look methods up here and nowhere else, so what one transport can do, all can.
"""

from erlmcp_site.pipeline.method import Method

METHODS: dict[str, Method] = {}


def register(*methods: Method) -> None:
    """Add methods to the table.

    Raises ValueError when a name is taken.
    """
    for method in methods:
        if method.name in METHODS:
            raise ValueError(f"method {method.name} is registered twice")
        METHODS[method.name] = method


__all__ = ["METHODS", "Method", "register"]
