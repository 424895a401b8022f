"""How a management command has something written."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError

from audit_app.errors import Refusal
from audit_app.writer import writer


@contextmanager
def written() -> Iterator[None]:
    """Around what a command does: whatever its end, the writer has committed what it was given, and is at rest.

    Raises CommandError, with a sentence, for what is refused, what settings do not allow and a database that does not
    answer.
    """
    try:
        yield
    except Refusal as refusal:
        told = ", ".join(f"{name}: {value}" for name, value in refusal.data.items())
        raise CommandError(f"{refusal.message}{f' ({told})' if told else ''}") from refusal
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"A database does not answer as it should: {error}") from error
    finally:
        writer.close()
