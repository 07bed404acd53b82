"""Install a package from an index on loopback, with a command of the bridge, and import it.

``python install_from_loopback.py [--prefix PREFIX] COMMAND...``: COMMAND is a door's install, such as
``python -m conda_pypi_bridge install``. Needs the standard library alone, and no channel.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: Another name each time, so that one environment can have it from several doors.
PROJECT = f"loopback-demo-{os.getpid()}"
MODULE = PROJECT.replace("-", "_")
FILENAME = f"{MODULE}-1.0-py3-none-any.whl"


def wheel() -> bytes:
    """A wheel with one module (PEP 427)."""
    info = f"{MODULE}-1.0.dist-info"
    members = {
        f"{MODULE}.py": 'ANSWER = "from loopback"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: recipe\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},{digest(text)},{len(text)}\n" for name, text in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def digest(text: str) -> str:
    """A hash as RECORD has it (PEP 376)."""
    raw = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Handler(BaseHTTPRequestHandler):
    """The index: one page (PEP 691), one file."""

    content = wheel()

    def do_GET(self) -> None:
        hashes = {"sha256": hashlib.sha256(self.content).hexdigest()}
        file = {"filename": FILENAME, "url": f"/{FILENAME}", "hashes": hashes}
        page = {"meta": {"api-version": "1.0"}, "name": PROJECT, "files": [file]}
        if self.path == f"/simple/{PROJECT}/":
            self.answer(json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json")
        elif self.path == f"/{FILENAME}":
            self.answer(self.content, "application/zip")
        else:
            self.send_error(404)

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def empty_channel(folder: Path) -> str:
    """The URL of a channel that has nothing."""
    for subdir in ("noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"):
        (folder / subdir).mkdir(parents=True)
        (folder / subdir / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    return folder.as_uri()


def main() -> int:
    """Install, import; the exit status is that of what failed first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", type=Path, default=Path(sys.prefix))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = [sys.executable, *args.command[1:]] if args.command[0] == "python" else args.command
    inside = ("python.exe",) if os.name == "nt" else ("bin", "python")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        channel = ("--override-channels", "-c", empty_channel(Path(folder) / "channel"))
        index = ("-i", f"http://127.0.0.1:{server.server_port}/simple/")
        done = subprocess.run([*command, "-y", "-p", args.prefix, *channel, *index, PROJECT])
    server.shutdown()
    if done.returncode:
        return done.returncode
    code = f"import {MODULE}; print({MODULE}.ANSWER)"
    return subprocess.run([args.prefix.joinpath(*inside), "-c", code]).returncode


if __name__ == "__main__":
    sys.exit(main())
