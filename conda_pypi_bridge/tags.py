"""Wheel tags (PEP 425, 600, 656) of a target, and what a wheel's tags mean for its conda record.

Nothing here asks the running machine: every answer follows from the target's Python, its conda
subdir and the versions of its C library or macOS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging import tags as pep425
from packaging.tags import Tag
from packaging.version import Version

from .errors import ConfigError, Untranslatable
from .model import CondaName, MatchSpec, Target, Wheel
from .versions import NOTHING, VersionSet, between

#: conda's name of an architecture, by operating system -> that of wheel tags (and of `platform.machine()`).
_ARCHITECTURES = {
    "linux": {
        "64": "x86_64",
        "32": "i686",
        **{name: name for name in ("aarch64", "ppc64le", "s390x", "riscv64", "armv7l", "armv6l")},
    },
    "osx": {"64": "x86_64", "arm64": "arm64"},
    "win": {"64": "amd64", "32": "win32", "arm64": "arm64"},
}

#: PEP 513, 571, 599: the C library behind the names that PEP 600 replaced.
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}

#: conda's platforms that have wheels.
SUBDIRS = tuple(f"{system}-{name}" for system, names in _ARCHITECTURES.items() for name in names)

#: Architectures for which manylinux wheels are defined, and the oldest glibc that each may name.
_OLDEST_GLIBC = {
    **dict.fromkeys(("x86_64", "i686"), 5),
    **dict.fromkeys(("aarch64", "ppc64le", "s390x", "riscv64", "armv7l"), 17),
}

_WINDOWS_MACHINES = {"amd64": "AMD64", "win32": "x86", "arm64": "ARM64"}
_SYSTEMS = {
    "linux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"},
    "osx": {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"},
    "win": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"},
}
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}

#: The ABI of PyPy 7.3 and its successors; it names the PyPy release in which it last changed.
_PYPY_ABI = "pp73"

_INTERPRETER = re.compile(r"(?P<name>py|cp|pp)(?P<major>\d)(?P<minor>\d*)")
_SPECIFIC_ABI = re.compile(r"cp\d+[a-z]*|pypy\d+_.+")
_MACOS = re.compile(r"macosx_(\d+)_(\d+)_\w+")
_LIBC = re.compile(r"(many|musl)linux_(\d+)_(\d+)_\w+")
_LEGACY = re.compile(r"(manylinux\d+)_\w+")

_Pair = tuple[int, int]


def make_target(
    python: Version,
    subdir: str,
    *,
    implementation: str = "cpython",
    free_threaded: bool = False,
    glibc: _Pair | None = None,
    musl: _Pair | None = None,
    macos: _Pair | None = None,
    python_abi: bool = False,
    markers: Mapping[str, str] | None = None,
) -> Target:
    """The target for an interpreter other than the running one.

    `implementation` is ``sys.implementation.name``; `markers` overrides or completes the computed
    PEP 508 environment. ``platform_release``, ``platform_version`` (and PyPy's own version,
    ``implementation_version``) cannot be computed: where `markers` lacks them they are "", and a
    requirement that depends on them is refused. Raises `ConfigError` for a platform or
    implementation that has no wheels.
    """
    tags = target_tags(
        python,
        subdir,
        implementation=implementation,
        free_threaded=free_threaded,
        glibc=glibc,
        musl=musl,
        macos=macos,
    )
    return Target(
        python=python,
        subdir=subdir,
        markers={**marker_environment(python, subdir, implementation), **(markers or {})},
        tags=tags,
        implementation=implementation,
        free_threaded=free_threaded,
        glibc=glibc,
        musl=musl,
        macos=macos,
        python_abi=python_abi,
    )


def marker_environment(python: Version, subdir: str, implementation: str) -> dict[str, str]:
    """What can be computed of PEP 508's "Environment Markers". Raises as `make_target`."""
    _require_known(implementation)
    system, arch = _split(subdir)
    pre = "".join(map(str, python.pre or ()))
    full_version = f"{python.major}.{python.minor}.{python.micro}{pre}"
    return {
        **_SYSTEMS[system],
        "platform_machine": _WINDOWS_MACHINES[arch] if system == "win" else arch,
        "platform_release": "",
        "platform_version": "",
        "python_version": f"{python.major}.{python.minor}",
        "python_full_version": full_version,
        "platform_python_implementation": _IMPLEMENTATIONS[implementation],
        "implementation_name": implementation,
        "implementation_version": full_version if implementation == "cpython" else "",
    }


def _require_known(implementation: str) -> None:
    if implementation not in _IMPLEMENTATIONS:
        raise ConfigError(f"wheels for the Python implementation {implementation!r} are not supported")


def _split(subdir: str) -> tuple[str, str]:
    system, _, name = subdir.partition("-")
    try:
        return system, _ARCHITECTURES[system][name]
    except KeyError:
        raise ConfigError(f"there are no wheels for the platform {subdir!r}") from None


# -- the tags of a target ----------------------------------------------------------------------------


def target_tags(
    python: Version,
    subdir: str,
    *,
    implementation: str = "cpython",
    free_threaded: bool = False,
    glibc: _Pair | None = None,
    musl: _Pair | None = None,
    macos: _Pair | None = None,
) -> tuple[Tag, ...]:
    """The wheel tags that `packaging` (and pip) would compute on the target itself, best first.

    Raises `ConfigError` for a platform or implementation that has no wheels.
    """
    _require_known(implementation)
    version = (python.major, python.minor)
    nodot = f"{python.major}{python.minor}"
    # packaging reads an empty list as "ask the running machine": give it a platform that no wheel has.
    platforms = list(_platforms(subdir, glibc=glibc, musl=musl, macos=macos)) or ["unknown"]
    if implementation == "pypy":
        own = pep425.generic_tags(f"pp{nodot}", [f"pypy{nodot}_{_PYPY_ABI}"], platforms)
        generic = pep425.compatible_tags(version, "pp3", platforms)
    else:
        own = pep425.cpython_tags(version, [f"cp{nodot}{'t' if free_threaded else ''}"], platforms)
        generic = pep425.compatible_tags(version, f"cp{nodot}", platforms)
    return (*own, *generic)


def _platforms(subdir: str, *, glibc: _Pair | None, musl: _Pair | None, macos: _Pair | None) -> Iterator[str]:
    system, arch = _split(subdir)
    if system == "win":
        yield arch if arch == "win32" else f"win_{arch}"
    elif system == "osx":
        yield from pep425.mac_platforms(macos, arch) if macos else ()
    else:
        yield f"linux_{arch}"
        yield from _manylinux(glibc, arch) if glibc else ()
        yield from (f"musllinux_{musl[0]}_{minor}_{arch}" for minor in range(musl[1], -1, -1)) if musl else ()


def _manylinux(glibc: _Pair, arch: str) -> Iterator[str]:
    """PEP 600; glibc is still at major version 2, so only its minor version counts."""
    major, newest = glibc
    oldest = _OLDEST_GLIBC.get(arch)
    if major != 2 or oldest is None:
        return
    for minor in range(newest, oldest - 1, -1):
        yield f"manylinux_{major}_{minor}_{arch}"
        if legacy := _LEGACY_MANYLINUX.get((major, minor)):
            yield f"{legacy}_{arch}"


# -- the choice of a wheel ---------------------------------------------------------------------------


def best_wheel(wheels: Iterable[Wheel], target: Target) -> Wheel | None:
    """The wheel that pip would take among those of one version; None where none fits the target.

    Not yanked before yanked (PEP 592), then the better tag, then the higher build tag (PEP 427).
    """
    ranks = target.ranks
    fitting = [wheel for wheel in wheels if not ranks.keys().isdisjoint(wheel.tags)]
    if not fitting:
        return None

    def preference(wheel: Wheel) -> tuple[bool, int, tuple[()] | tuple[int, str]]:
        return wheel.yanked is None, -min(ranks[tag] for tag in wheel.tags if tag in ranks), wheel.build

    return max(fitting, key=preference)


# -- what a wheel's tags demand ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a wheel's tags demand of the environment: its Pythons, and other conda dependencies."""

    python: VersionSet
    depends: tuple[MatchSpec, ...] = ()


def record_subdir(tags: frozenset[Tag], target: Target) -> str:
    """Where the record is listed: ``noarch`` only for ``*-none-any``, whatever WHEEL says of purity.

    CEP 20 permits ``noarch: python`` packages in the subdir of a platform. Raises `Untranslatable` where no
    tag fits the target.
    """
    _fitting(tags, target)
    pure = all(tag.abi == "none" and tag.platform == "any" for tag in tags)
    return "noarch" if pure else target.subdir


def platform_constraints(tags: frozenset[Tag], target: Target) -> Demands:
    """What a wheel with these tags demands, for as long as it stays in the target's subdir.

    Raises `Untranslatable` where no tag fits the target.
    """
    fitting = _fitting(tags, target)
    platforms = {tag.platform for tag in fitting}
    python = NOTHING
    for tag in tags:
        python |= _pythons(tag, target.implementation)
    depends = [*_abi(fitting, target), *_libc(platforms), *_macos(platforms, target)]
    return Demands(python=python, depends=tuple(depends))


def _fitting(tags: frozenset[Tag], target: Target) -> list[Tag]:
    """The tags that the target accepts, best first."""
    ranks = target.ranks
    fitting = sorted((tag for tag in tags if tag in ranks), key=ranks.__getitem__)
    if fitting:
        return fitting
    text = ".".join(sorted(map(str, tags)))
    if all(tag.interpreter.startswith("py2") for tag in tags):
        raise Untranslatable(text, "a wheel for Python 2 only")
    raise Untranslatable(text, f"no wheel for {target.implementation} {target.python} on {target.subdir}")


def _pythons(tag: Tag, implementation: str) -> VersionSet:
    """The versions of the target's implementation that accept a tag.

    Python 4 is left open: nobody knows what it will accept.
    """
    match = _INTERPRETER.fullmatch(tag.interpreter)
    own = {"cpython": "cp", "pypy": "pp"}[implementation]
    if match is None or match["name"] not in ("py", own):
        return NOTHING
    major = int(match["major"])
    if not match["minor"]:
        return between(f"{major}", None) if major > 2 else between(None, f"{major + 1}")
    minor = int(match["minor"])
    low = f"{major}.{minor}dev0"
    if match["name"] == "py" or tag.abi in ("abi3", "abi3t"):
        return between(low, f"{major + 1}" if major == 2 else None)
    return between(low, f"{major}.{minor + 1}dev0")


def _abi(fitting: list[Tag], target: Target) -> Iterator[MatchSpec]:
    """conda's ``python_abi`` package tells apart what a version of Python does not, as cp313 and cp313t."""
    if target.python_abi and all(_SPECIFIC_ABI.fullmatch(tag.abi) for tag in fitting):
        minor = f"{target.python.major}.{target.python.minor}.*"
        yield MatchSpec(name=CondaName("python_abi"), version=minor, build=f"*_{fitting[0].abi}")


def _libc(platforms: Iterable[str]) -> Iterator[MatchSpec]:
    """PEP 600: any of the compressed tags suffices, so the oldest C library is what is demanded."""
    found = [_libc_of(platform) for platform in platforms]
    needed = [libc for libc in found if libc is not None]
    if needed and len(needed) == len(found):
        name, version = min(needed)
        yield _at_least(name, version)


def _libc_of(platform: str) -> tuple[str, _Pair] | None:
    if match := _LIBC.fullmatch(platform):
        return ("__glibc" if match[1] == "many" else "__musl"), (int(match[2]), int(match[3]))
    if match := _LEGACY.fullmatch(platform):
        return "__glibc", next(v for v, name in _LEGACY_MANYLINUX.items() if name == match[1])
    return None


def _macos(platforms: Iterable[str], target: Target) -> Iterator[MatchSpec]:
    """The oldest macOS named; on arm64 that is 11.0, even for a ``macosx_10_9_universal2``."""
    matches = (_MACOS.fullmatch(platform) for platform in platforms)
    found = [(int(match[1]), int(match[2])) for match in matches if match]
    if found:
        oldest = min(found)
        yield _at_least("__osx", max(oldest, (11, 0)) if target.subdir == "osx-arm64" else oldest)


def _at_least(name: str, version: _Pair) -> MatchSpec:
    return MatchSpec(name=CondaName(name), version=f">={version[0]}.{version[1]}")
