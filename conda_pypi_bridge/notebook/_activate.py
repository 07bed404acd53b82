"""Start a kernel in its activated environment: ``python -I -S activate.py ARGS`` becomes ``python ARGS``.

`notebook kernelspec` of conda-pypi-bridge copies this file beside a kernel.json, whose `env` names the
environment. The process stays the same one throughout, so that interrupts reach the kernel. A script that
fails, or exits, is passed over. Only the standard library; any Python from 3.7.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Become the kernel, by way of a shell that runs the activation scripts."""
    prefix = Path(os.environ["CONDA_PREFIX"])
    command = [sys.executable, *sys.argv[1:]]
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in variables(prefix).items()
        if name.isidentifier()
    ]
    for script in sorted(prefix.glob("etc/conda/activate.d/*.sh")):
        lines.append(f". {shlex.quote(str(script))}")
    # What scripts print belongs into the log. One that exits must not end the kernel.
    code = "\n".join(["trap 'exec \"$@\"' EXIT", "{ :", *lines, "} >&2", "trap - EXIT", 'exec "$@"'])
    # An entry that is not absolute would mean the notebook's folder, which may hold a "bash" of anybody's.
    folders = filter(os.path.isabs, os.get_exec_path())
    shell = shutil.which("bash", path=os.pathsep.join(folders)) or "/bin/sh"
    os.execv(shell, [shell, "-c", code, "conda-pypi-bridge", *command])


def variables(prefix: Path) -> dict[str, str]:
    """Variables of packages, then those of ``conda env config vars set``."""
    found: dict[str, Any] = {}
    for file in sorted(prefix.glob("etc/conda/env_vars.d/*")):
        found.update(mapping(file))
    settled = mapping(prefix / "conda-meta" / "state").get("env_vars")
    found.update(settled if isinstance(settled, dict) else {})
    return {name: str(value) for name, value in found.items() if value != "***unset***"}


def mapping(file: Path) -> dict[str, Any]:
    """The JSON object in a file, an empty one where there is none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


if __name__ == "__main__":
    main()
