"""The rules that a wheel must keep before a byte of it is written (PEP 427, PEP 376).

Each rule is one function that yields what breaks it; its docstring says why the rule exists. A rule's
name, with hyphens, is the `rule` of the `WheelRefused` that it causes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple
from unicodedata import category, normalize

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..digests import sha256_of
from ..errors import WheelRefused
from ..model import Wheel
from .wheelreader import DATA, SCRIPTS, SITE_PACKAGES, WheelFile, is_data

#: No wheel may unpack to more bytes than `MAX_TOTAL`, nor to more than `MAX_RATIO` times its own size
#: once it passes `RATIO_FREE` bytes (small files of zeros compress a thousandfold, harmlessly).
MAX_TOTAL = 64 << 30
MAX_RATIO = 50
RATIO_FREE = 64 << 20
MAX_MEMBERS = 200_000

#: Bytes of UTF-8 that a member's name, and each part of it, may have.
MAX_PATH = 1024
MAX_PART = 255

#: The largest wheel, in bytes, that is read once and for all: most are smaller, and their members many.
_IN_MEMORY = 16 << 20

_SCRIPT_NAME = re.compile(r"\w[\w.+-]*")
_STRONG = frozenset(["sha256", "sha384", "sha512"])
_INVISIBLE = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])  # Unicode categories: control, format, line ends

# Places relative to a prefix. Any case: they are the same files on macOS and Windows.
_COMMANDS = r"((library/([\w-]+/)?)?(bin|scripts)/)"  # the folders that conda puts on PATH
_CONDA_FILES = re.compile(
    r"(info|conda-meta|pkgs|envs|site-packages|python-scripts|(shell/)?condabin)(/|$)"
    r"|\.?(condarc(\.d)?|mambarc)(/|$)"
    r"|etc/(profile\.d|fish/conf\.d)/(conda|mamba|micromamba)\.",
    re.IGNORECASE,
)
_INTERPRETER_FILES = re.compile(
    rf"{_COMMANDS}?pythonw?[\d.]*t?(-config)?(\.exe|\.dll)?$"
    rf"|{_COMMANDS}(conda|conda-env|mamba|micromamba|activate|deactivate)(-script\.py|\.\w+)?$"
    r"|scripts/(conda|activate|deactivate)"
    rf"|{_COMMANDS}?pyvenv\.cfg$"
    r"|[^/]+\.dll$|python[^/]*\._pth$|pip\.(conf|ini)$",
    re.IGNORECASE,
)
_LIBRARY = re.compile(r"lib/(lib)?python\d|dlls/", re.IGNORECASE)
_LIBRARY_ON_WINDOWS = re.compile(r"lib/|dlls/", re.IGNORECASE)
_LINK_SCRIPTS = re.compile(r"(bin|scripts)/\..*(pre|post)-(un)?link\.(sh|bat)$", re.IGNORECASE)
_HOOKS = re.compile(r"etc/conda/((de)?activate|env_vars)\.d/|menu/", re.IGNORECASE)


class Complaint(NamedTuple):
    """What breaks a rule: a sentence, and the member that does it ("" for the wheel as a whole)."""

    detail: str
    member: str = ""


Rule = Callable[[WheelFile], Iterator[Complaint]]


def bounded_size(wheel: WheelFile) -> Iterator[Complaint]:
    """A small file must not fill the disk, nor a huge listing the memory (zip bombs)."""
    total = sum(entry.size for entry in wheel.entries)
    if total > MAX_TOTAL or total > max(RATIO_FREE, MAX_RATIO * wheel.archive_size):
        yield Complaint(f"unpacks {wheel.archive_size} bytes to {total}")
    if len(wheel.entries) > MAX_MEMBERS:
        yield Complaint(f"has {len(wheel.entries)} members")


def plain_names(wheel: WheelFile) -> Iterator[Complaint]:
    """Backslash and colon are separators on Windows; what cannot be seen cannot be judged."""
    for name in _names(wheel):
        visible = name.isascii() and name.isprintable()  # most names: no need to look at each character
        if "\\" in name or ":" in name or not (visible or _INVISIBLE.isdisjoint(map(category, name))):
            yield Complaint("the name holds a backslash, a colon or an invisible character", name)


def relative_names(wheel: WheelFile) -> Iterator[Complaint]:
    """A name must stay below its folder; Windows ignores dots and spaces at the end of a part."""
    for name in _names(wheel):
        if any(not part or part[-1] in ". " for part in name.removesuffix("/").split("/")):
            yield Complaint("the name is absolute, leaves its folder or has an empty part", name)


def short_names(wheel: WheelFile) -> Iterator[Complaint]:
    """Longer parts cannot be created on the usual file systems, longer paths not below most prefixes."""
    for name in _names(wheel):
        encoded = name.encode()
        if len(encoded) > MAX_PATH or max(map(len, encoded.split(b"/"))) > MAX_PART:
            yield Complaint(f"longer than {MAX_PATH} bytes, or a part longer than {MAX_PART}", name)


def regular_files(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427 knows files alone; a link could point out of the environment."""
    for entry in wheel.entries:
        kind = stat.S_IFMT(entry.mode)
        if kind not in ((0, stat.S_IFDIR) if entry.is_dir else (0, stat.S_IFREG)):
            yield Complaint("neither a regular file nor a folder", entry.name)
        if entry.is_dir and entry.size:
            yield Complaint("a folder with content", entry.name)


def unique_names(wheel: WheelFile) -> Iterator[Complaint]:
    """Of two members with one name, one tool installs the first and another the last."""
    seen: set[str] = set()
    for name in _names(wheel):
        if name in seen:
            yield Complaint("the name occurs twice", name)
        seen.add(name)


def complete_dist_info(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427: "METADATA, WHEEL and RECORD" are what a .dist-info folder contains at least."""
    for name in ("METADATA", "WHEEL", "RECORD"):
        if f"{wheel.dist_info}/{name}" not in wheel.files:
            yield Complaint("the file is missing", f"{wheel.dist_info}/{name}")


def one_dist_info(wheel: WheelFile) -> Iterator[Complaint]:
    """Each such folder in site-packages is a project to importlib.metadata, however it gets there.

    PEP 427 has one, at the archive's root; from ``.data`` another could be added, or its METADATA
    replaced after the checks.
    """
    for member in wheel.members:
        top = member.path.partition("/")[0].lower()
        own = member.entry.name.startswith(f"{wheel.dist_info}/")
        if member.root == SITE_PACKAGES and top.endswith((".dist-info", ".egg-info")) and not own:
            yield Complaint("only the wheel's own .dist-info may describe a project", member.entry.name)


def record_hashes(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427: "sha256 or better; specifically, md5, sha1 and sha224 are not permitted"."""
    for path, row in wheel.record.items():
        if row.algorithm not in _STRONG and not _is_unhashed(wheel, path):
            yield Complaint(f"RECORD gives {row.algorithm or 'no hash'} instead of sha256", path)


def record_complete(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427: "installation will fail if any file [...] is not both mentioned and correctly hashed"."""
    for path in wheel.files:
        if path not in wheel.record and not _is_unhashed(wheel, path):
            yield Complaint("RECORD does not list the file", path)


def record_true(wheel: WheelFile) -> Iterator[Complaint]:
    """A listed file that is missing, or has another size, was changed after the wheel was made."""
    for path, row in wheel.record.items():
        entry = wheel.files.get(path)
        if entry is None:
            yield Complaint("RECORD lists a file that is not there", path)
        elif row.size not in ("", str(entry.size)) and not _is_unhashed(wheel, path):
            yield Complaint(f"RECORD says {row.size} bytes, the archive {entry.size}", path)


def folder_names(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427 names both folders after the file; others would pose as another project."""
    tops = {name.partition("/")[0] for name in wheel.files if is_data(name)}
    for top in sorted({wheel.dist_info} | tops):
        name, _, version = top.rpartition(".")[0].rpartition("-")
        if not _is_expected(wheel, name, version.replace("_", "+")):
            yield Complaint("the folder is not named after the wheel", top)


def metadata_identity(wheel: WheelFile) -> Iterator[Complaint]:
    """METADATA must tell the name and version that the solver chose by."""
    names, versions = wheel.metadata.get_all("Name", []), wheel.metadata.get_all("Version", [])
    if len(names) != 1 or len(versions) != 1 or not _is_expected(wheel, names[0], versions[0]):
        yield Complaint(f"METADATA says {names} {versions}", f"{wheel.dist_info}/METADATA")


def metadata_announced(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 658: the metadata file that the solver read "MUST be identical" to the wheel's."""
    announced = wheel.expected.metadata_sha256
    if announced and hashlib.sha256(wheel.read("METADATA")).hexdigest() != announced:
        yield Complaint("METADATA is not what the index announced", f"{wheel.dist_info}/METADATA")


def known_wheel_version(wheel: WheelFile) -> Iterator[Complaint]:
    """PEP 427: "abort if major version is greater"; the meaning of such a wheel is unknown."""
    if not re.fullmatch(r"1\.\d+", wheel.wheel.get("Wheel-Version", "").strip()):
        yield Complaint(f"Wheel-Version is {wheel.wheel.get('Wheel-Version')!r}, 1.x is understood")


def covered_tags(wheel: WheelFile) -> Iterator[Complaint]:
    """The file name, which is what gets chosen, must not promise what the wheel was not built for.

    A wheel renamed from ``linux_x86_64`` to a manylinux tag without an edit of WHEEL is common (torch,
    ray), and one narrowed from ``any`` to the platform of its data too (playwright); both pass.
    """
    built = {(tag.interpreter, tag.abi, _family(tag.platform)) for tag in wheel.tags}
    for tag in sorted(wheel.expected.tags, key=str):
        if not built & {(tag.interpreter, tag.abi, family) for family in (_family(tag.platform), "any")}:
            yield Complaint(f"the file name promises {tag}, WHEEL does not")


def entry_point_names(wheel: WheelFile) -> Iterator[Complaint]:
    """A name becomes a file below ``bin``, a target Python source: neither may be anything else."""
    for name, target in wheel.entry_points.items():
        module, _, attribute = target.partition(":")
        if not _SCRIPT_NAME.fullmatch(name):
            yield Complaint(f"{name!r} cannot be the name of a script", f"{wheel.dist_info}/entry_points.txt")
        if not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
            yield Complaint(f"{target!r} is not module:attribute", f"{wheel.dist_info}/entry_points.txt")


def distinct_places(wheel: WheelFile) -> Iterator[Complaint]:
    """Of two members for one place, it depends on the installer which one stays.

    A script that an entry point replaces is no such case: pip installs the generated one alone.
    Names that differ by case or Unicode form are one file on macOS and Windows.
    """
    generated = {f"bin/{name}" for name in wheel.entry_points}
    places = dict.fromkeys(sorted(generated))
    seen: set[str] = set()
    for member in wheel.members:
        if member.place in seen or (member.place in generated and member.root != SCRIPTS):
            yield Complaint("another member would be installed to the same place", member.entry.name)
        seen.add(member.place)
        places[member.place] = None
    folders = folders_above(places)
    spellings: dict[str, str] = {}
    for path in [*places, *folders]:
        key = normalize("NFC", normalize("NFD", path).casefold())
        if spellings.setdefault(key, path) != path:
            yield Complaint(f"is {spellings[key]!r} where case or Unicode form does not count", path)
    for path in sorted(folders & set(places)):
        yield Complaint("both a file and a folder", path)


def no_conda_files(wheel: WheelFile) -> Iterator[Complaint]:
    """conda keeps its records, caches and settings there, and lays out packages by these names."""
    return _forbidden(wheel, _CONDA_FILES, "the place belongs to conda")


def no_interpreter_files(wheel: WheelFile) -> Iterator[Complaint]:
    """The interpreter, conda, pip's settings and the activation scripts decide what all else does.

    Windows looks for every DLL next to ``python.exe`` first, which is the prefix itself.
    """
    return _forbidden(wheel, _INTERPRETER_FILES, "the file would change what Python, pip or conda do")


def no_standard_library(wheel: WheelFile) -> Iterator[Complaint]:
    """Modules there come before those of site-packages, which lies below it.

    On Windows this is all of ``Lib``; elsewhere ``lib`` is for other libraries too, and those are kept.
    A wheel for any platform may be installed on Windows.
    """
    platforms = {tag.platform for tag in wheel.expected.tags}
    on_windows = any(platform == "any" or platform.startswith("win") for platform in platforms)
    pattern = _LIBRARY_ON_WINDOWS if on_windows else _LIBRARY
    return _forbidden(wheel, pattern, "the folder belongs to Python's own library")


def no_link_scripts(wheel: WheelFile) -> Iterator[Complaint]:
    """conda runs such files while it links or removes the package; a wheel has no install-time code."""
    return _forbidden(wheel, _LINK_SCRIPTS, "conda would run the file")


def no_hooks(wheel: WheelFile) -> Iterator[Complaint]:
    """Activation scripts run at every activation, menu entries reach out of the environment: opt-in."""
    return _forbidden(wheel, _HOOKS, "the file would act on activation or add menu entries")


RULES: tuple[Rule, ...] = (
    bounded_size,
    plain_names,
    relative_names,
    short_names,
    regular_files,
    unique_names,
    complete_dist_info,
    one_dist_info,
    record_hashes,
    record_complete,
    record_true,
    folder_names,
    metadata_identity,
    metadata_announced,
    known_wheel_version,
    covered_tags,
    entry_point_names,
    distinct_places,
    no_conda_files,
    no_interpreter_files,
    no_standard_library,
    no_link_scripts,
)


@contextmanager
def open_wheel(path: Path, expected: Wheel, *, allow_hooks: bool = False) -> Iterator[WheelFile]:
    """The wheel at `path`, once it has kept every rule that can be checked without unpacking it all.

    `expected` is what the index said of it. `allow_hooks` accepts files that run when an environment
    is activated, and menu entries. Raises `WheelRefused`.
    """
    with path.open("rb") as opened:
        file = io.BytesIO(opened.read()) if os.fstat(opened.fileno()).st_size <= _IN_MEMORY else opened
        _check_digest(file, expected)
        wheel = WheelFile(file, expected)
        for rule in RULES if allow_hooks else (*RULES, no_hooks):
            for detail, member in rule(wheel):
                raise wheel.refusal(rule.__name__.replace("_", "-"), detail, member)
        yield wheel


def _check_digest(file: BinaryIO, expected: Wheel) -> None:
    """Nothing is read from a file that is not the one the index promised."""
    if sha256_of(file) != expected.sha256 or expected.size not in (None, file.tell()):
        raise WheelRefused(expected.filename, "wheel-hash", "not the sha256 and size that the index gives")


def folders_above(places: Iterable[str]) -> set[str]:
    """Every folder above one of `places`, which are relative paths with ``/``."""
    found: set[str] = set()
    above = {place.rpartition("/")[0] for place in places} - {""}
    while above:
        found |= above
        above = {folder.rpartition("/")[0] for folder in above} - found - {""}
    return found


def _names(wheel: WheelFile) -> Iterator[str]:
    return (entry.name for entry in wheel.entries)


def _is_unhashed(wheel: WheelFile, path: str) -> bool:
    """RECORD cannot hold its own hash, and its signatures come after it (PEP 427)."""
    return path in {f"{wheel.dist_info}/{name}" for name in ("RECORD", "RECORD.jws", "RECORD.p7s")}


def _is_expected(wheel: WheelFile, name: str, version: str) -> bool:
    try:
        same_version = Version(version.strip()) == wheel.expected.version
    except InvalidVersion:
        return False
    return same_version and canonicalize_name(name.strip()) == str(wheel.expected.project)


def _family(platform: str) -> str:
    """A platform tag without the version of the C library or system."""
    platform = re.sub(r"^(manylinux|musllinux|linux)(\d+|_\d+_\d+)?_", "linux_", platform)
    return re.sub(r"^macosx_\d+_\d+_", "macosx_", platform)


def _forbidden(wheel: WheelFile, pattern: re.Pattern[str], detail: str) -> Iterator[Complaint]:
    for name in wheel.entry_points:
        if pattern.match(f"bin/{name}"):
            yield Complaint(detail, f"{wheel.dist_info}/entry_points.txt")
    for member in wheel.members:
        if member.root in (SCRIPTS, DATA) and pattern.match(member.place):
            yield Complaint(detail, member.entry.name)
