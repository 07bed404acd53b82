"""Logs, without anything that may be secret: for machines one JSON object a line, on a terminal sentences."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Any, TextIO

from ..index.pages import printable
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


class LineFormatter(logging.Formatter):
    """A record as a line for people; nothing in it can be more than text to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.levelno > logging.INFO:
            text = f"{record.levelname.lower()}: {record.getMessage()}"
        else:
            text = record.getMessage()
        if text == "request":
            text = f"{fields['status']} {fields['method']} {fields['path']}"
            fields = {"ms": fields["ms"], "client": fields["client"]}
        told = " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", None))
        when = dt.datetime.fromtimestamp(record.created)
        lines = [f"{when:%H:%M:%S} {text}{f' ({told})' if told else ''}".replace("\n", " ")]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(printable(redact(line)) for line in lines)


def configure(*, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Send what this package and uvicorn log to `stream` (default: standard error).

    A terminal is for people. When `quiet`, requests that went well are left out.
    """
    handler = logging.StreamHandler(stream := stream or sys.stderr)
    handler.setFormatter(LineFormatter() if stream.isatty() else JSONFormatter())
    for name, level in ((str(__package__).partition(".")[0], logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.WARNING if quiet else level)
        logger.propagate = False
