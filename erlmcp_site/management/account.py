"""Who types a management command, for its audit entry."""

import getpass
import os


def account() -> str:
    """The name of the account at this machine; its number where that has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
