"""What went wrong, in one sentence, and what to try next: from what a command printed. Pure."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: "PackagesNotFoundError: ...", "CondaError: ...", "error: ...", "conda: error: ...".
_HEAD = re.compile(r"^\s*(?:(?P<kind>\w+(?:Error|Exit|Exception)): |(?:[\w. -]+: )?error: )(?P<text>.*)$")
_BULLET = re.compile(r"^\s*- (?P<item>\S.*?)\s*$")
_LACKING = re.compile(r"no package named '(?P<name>[^']+)'")
_CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<choices>.*)\)")
_WORKS = re.compile(r"This would work: (?P<specs>.+)")

#: Modules whose project has another name, where that name is what people look for.
_IMPORTED_AS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv",
    "crypto": "pycryptodome",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "jwt": "pyjwt",
    "opencv-python": "opencv",
    "pil": "pillow",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "usb": "pyusb",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """`message` says what failed; `hint` what to do next; `lacking` are the names that nobody has."""

    message: str
    hint: str = ""
    lacking: tuple[str, ...] = ()


def read(out: str, err: str, status: int, verb: str) -> Failure:
    """The failure of a command with the exit status `status`; a signal's is negative."""
    lines = err.splitlines() or _lines(out)
    heads = [(number, match) for number, line in enumerate(lines) if (match := _HEAD.match(line))]
    if not heads:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        return Failure(message=f"conda {verb} failed ({cause}){': ' if last else ''}{last}".strip())
    # In conda's report of a bug, what was raised stands last; else the first message is the cause.
    number, match = heads[-1] if "ERROR REPORT" in err else heads[0]
    text, after = match["text"].strip(), lines[number + 1 :]
    items = _items(after)
    if choice := _CHOICE.search(text):
        return _unknown_subcommand(choice)
    message = " ".join([text, ", ".join(items)]).strip() if items else text
    hint = next((line.strip() for line in after[:1] if line.startswith("  ") and not items), "")
    if works := _WORKS.search(f"{text} {hint}"):
        hint = f"This would work: %conda install {works['specs'].rstrip('.')}"
    lacking = tuple(_LACKING.findall(text))
    if (match["kind"] or "").startswith("PackagesNotFound") and "channels" in text:
        lacking = tuple(re.split(r"[\s=<>!~\[]", item.rpartition("::")[2])[0] for item in items)
    if status == 2 and not hint:
        hint = f"What it takes: %conda {verb} --help"
    return Failure(message=message or f"conda {verb} failed", hint=hint, lacking=lacking)


def suggestion(lacking: Sequence[str], known: Iterable[str], *, searchable: bool = True) -> str:
    """What to try for names that nobody has; `known` are names that somebody has. "" without any.

    `searchable` tells whether there is a conda that could search.
    """
    for name in lacking:
        if name in sys.stdlib_module_names:
            return f"{name} is part of Python: import it without installing anything."
    names = list(known)
    near = [close for name in lacking for close in _near(name, names)]
    if near:
        others = f" (or {', '.join(near[1:])})" if near[1:] else ""
        return f"Did you mean: %conda install {near[0]}{others}"
    return f'Look for it: %conda search "*{lacking[0]}*"' if lacking and searchable else ""


def _near(name: str, known: Sequence[str]) -> list[str]:
    alias = _IMPORTED_AS.get(name.lower())
    found = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.8)
    return list(dict.fromkeys([*([alias] if alias else []), *found]))


def _unknown_subcommand(choice: re.Match[str]) -> Failure:
    choices = [*re.findall(r"[\w-]+", choice["choices"]), "where"]
    near = difflib.get_close_matches(choice["word"], choices, n=1)
    hint = f"Did you mean: %conda {near[0]}" if near else f"There are: {', '.join(sorted(choices))}"
    return Failure(message=f"conda has no subcommand {choice['word']!r}", hint=hint)


def _lines(out: str) -> list[str]:
    """Standard output, in which ``--json`` puts the message."""
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    if isinstance(document, dict) and (message := document.get("message") or document.get("error")):
        kind = str(document.get("exception_name") or "Error")
        return f"{kind}: {str(message).removeprefix(f'{kind}: ')}".splitlines()
    return out.splitlines()


def _items(lines: Sequence[str]) -> list[str]:
    """The list right below a message, before anything else is said."""
    found: list[str] = []
    for line in lines:
        if bullet := _BULLET.match(line):
            found.append(bullet["item"])
        elif line.strip():
            break
    return found
