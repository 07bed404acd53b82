"""Logs for machines: one JSON object a line, without anything that may be secret."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Any, TextIO

from ..redaction import redact

#: The server's own logger.
log = logging.getLogger(__name__)


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON; what `extra` has under ``fields`` are further keys."""

    def format(self, record: logging.LogRecord) -> str:
        when = dt.datetime.fromtimestamp(record.created, dt.timezone.utc)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": redact(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def configure(*, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Send what this package and uvicorn log to `stream` (default: standard error).

    When `quiet`, requests that went well are left out.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter())
    for name, level in ((str(__package__).partition(".")[0], logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.WARNING if quiet else level)
        logger.propagate = False
