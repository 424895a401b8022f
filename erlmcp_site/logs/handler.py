"""Log records on their way out: repeats are left out and summed up, the rest becomes lines."""

import logging
from typing import cast

from django.conf import settings

from erlmcp_site.logs.lines import FIELDS, LineFormatter
from erlmcp_site.logs.outflow import Outflow, standard_error
from erlmcp_site.logs.repeats import Repeats

END_SECONDS = 2.0
MOST_CHARACTERS = 200

Kind = tuple[str, int, str]
"""What counts as the same line: logger, level, and the message before values are put into it."""


class LineHandler(logging.Handler):
    """Everything that the process logs, on standard error."""

    def __init__(self, outflow: Outflow = standard_error, repeats: Repeats[Kind] | None = None) -> None:
        super().__init__()
        rate = settings.LOG_REPEATS
        self._outflow = outflow
        self._repeats = repeats or Repeats(rate.amount, rate.seconds)
        outflow.lookers.append(self._look)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sum_up(is_last=False)
            if self._repeats.admits((record.name, record.levelno, str(record.msg)[:MOST_CHARACTERS])):
                self._outflow.put(str, self.format(record))
        except Exception as error:
            # logging's own way would show the values that the message does not take
            self._tell(record.name, record.levelno, f"{type(error).__name__} in logging {record.msg!r}", {})

    def _look(self, is_last: bool) -> None:
        self._sum_up(is_last=is_last)
        if lost := self._outflow.take_lost():
            message = f"{lost} lines were lost: standard error did not take them in time"
            self._tell(__name__, logging.WARNING, message, {"left_out": lost})

    def _sum_up(self, *, is_last: bool) -> None:
        """Say of what has been left out how many there were; at the end, also where its period is not over."""
        for kind, left_out in self._repeats.ended(all=is_last):
            name, level, message = kind or (__name__, logging.WARNING, "many different lines")
            self._tell(name, level, f"{left_out} more were left out: {message}", {"left_out": left_out})

    def close(self) -> None:
        self._outflow.end(END_SECONDS)
        self._outflow.lookers.remove(self._look)
        super().close()

    def _tell(self, name: str, level: int, message: str, fields: dict[str, int]) -> None:
        record = logging.LogRecord(name, level, __file__, 0, message, None, None)
        setattr(record, FIELDS, fields)
        self._outflow.put(str, cast(LineFormatter, self.formatter).format(record))
