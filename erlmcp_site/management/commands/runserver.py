"""`manage.py runserver`: daphne's, which speaks WebSocket too; for development."""

from daphne.management.commands.runserver import Command

__all__ = ["Command"]
