"""Commands whose words are not for everybody: every user of a machine may read its command lines.

Where a word holds what may be secret, all words go through the environment, which a user's own processes
alone may read. That takes a program that is Python's; another gets its words as they are. Standard library
only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..redaction import redact

_VARIABLE = "PYPI_BRIDGE_WORDS"

#: Takes the words for ``sys.argv`` out of the environment, where children would find them.
_TAKE = f"import json, os, sys\nsys.argv = json.loads(os.environ.pop({_VARIABLE!r}))\n"

_RUN_FILE = """\
import runpy
if not sys.path[0]: del sys.path[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

_RUN_MODULE = """\
import runpy
if not sys.path[0]: del sys.path[0]
runpy.run_module({!r}, run_name="__main__", alter_sys=True)
"""

#: The interpreter of a script as pip and conda start them, also where its path is too long or has spaces.
_INTERPRETER = re.compile(rb"#!(?:/bin/sh\n'''exec' )?\"?(?P<path>/[^\n\"]*?python[\w.]*)\"?(?:\s|$)")


def discreet(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Sequence[str], Mapping[str, str]]:
    """What starts the same command, and its environment."""
    if all(redact(word) == word for word in argv):
        return argv, environ
    program, words = argv[0], list(argv[1:])
    if words[:1] == ["-c"]:
        code, words = words[1], ["-c", *words[2:]]
    elif words[:1] == ["-m"]:
        code, words = _RUN_MODULE.format(words[1]), words[1:]
    elif interpreter := _interpreter(Path(program)):
        program, code, words = interpreter, _RUN_FILE, [program, *words]
    else:
        return argv, environ
    return (program, "-c", f"{_TAKE}{code}"), {**environ, _VARIABLE: json.dumps(words)}


def _interpreter(script: Path) -> str:
    """The Python that a script is for, "" where it is none."""
    try:
        with script.open("rb") as file:
            match = _INTERPRETER.match(file.read(4096))
    except OSError:
        return ""
    return match["path"].decode() if match else ""
