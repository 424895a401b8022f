"""What nobody catches ends in the log like everything else, and so do warnings."""

import logging
import sys
import threading
from types import TracebackType

log = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Have what nobody catches end in the log like everything else, unless somebody else has seen to that."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _log_end
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_thread
    logging.captureWarnings(True)


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log.critical("the process ends: nobody expected this", exc_info=(kind, error, traceback))


def _log_thread(uncaught: threading.ExceptHookArgs) -> None:
    if uncaught.exc_value is not None:
        name = uncaught.thread.name if uncaught.thread else "?"
        told = (uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
        log.critical("thread %s ends: nobody expected this", name, exc_info=told)
