"""Records of wheels as they are: clients that read them fetch the index's own files, and nothing is built.

Repodata revision 3 (CEP 48) lists wheels in the group ``whl``, and its dependencies can be conditional
(CEP 43), so that one record says what takes several otherwise. That matters: these clients keep an
unpacked wheel by its file name, with the record that it first came with. Pure.

As tried, with conda 26.7, its rattler solver and conda-pypi, and with py-rattler (which solves for wheels and
installs none): hashes are hexadecimal, also in shards; ``fn`` is the wheel's name and the key is not; and
a dependency on an extra (CEP 44) makes the whole record unusable to the older of them. So what depends on an
extra depends on its metapackage here, too; ``extra_depends`` is for users who ask for an extra.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ..errors import BridgeError, Untranslatable
from ..model import Candidate, PackageRecord, Target
from ..translate import ConvertName
from ..versions import NOTHING, VersionSet
from .model import Scope
from .offers import is_pure, offer, python_of


def entries(
    candidate: Candidate, scope: Scope, conda_name: ConvertName, *, targets: Sequence[Target] | None = None
) -> dict[str, dict[str, Any]]:
    """The ``v3`` entry of a wheel in each subdir that lists it, by subdir; its key is `key_of` the entry.

    In ``noarch`` where all subdirs have the same, otherwise in each one that the wheel fits. `targets` as for
    `offers.offer`. Raises `Untranslatable` where the index does not tell the wheel's size, which clients rely
    on, or where its URL is not for everybody; the reason, a `BridgeError`, where there is no record at all.
    """
    wheel = candidate.wheel
    if wheel.size is None:
        raise Untranslatable(wheel.filename, "the index does not tell its size")
    if not _is_for_everybody(wheel.url):
        raise Untranslatable(wheel.filename, "its URL is a file of this machine, or may hold a secret")
    targets = scope.targets("noarch") if targets is None else targets
    found: dict[str, dict[str, Any]] = {}
    refused: list[BridgeError] = []
    for subdir in scope.subdirs:
        here = [target for target in targets if target.subdir == subdir]
        offered = offer(candidate, scope, conda_name, targets=here)
        refused += offered.refused
        if any(not made.extra for made in offered.records):
            found[subdir] = _entry([replace(made, subdir=subdir) for made in offered.records])
    if not found:
        raise refused[0]
    builds = {entry["build"] for entry in found.values()}
    if is_pure(wheel) and len(builds) == 1 and len(found) == len(scope.subdirs):
        return {"noarch": _entry([replace(made, subdir="noarch") for made in offered.records])}
    return found


def key_of(entry: Mapping[str, Any]) -> str:
    """What an entry is listed under: as other packages, by name, version and build."""
    return f"{entry['name']}-{entry['version']}-{entry['build']}"


def _is_for_everybody(url: str) -> bool:
    """Whether a URL may be published: a query can be a signature, and user information is a password."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and not parts.query and "@" not in parts.netloc


def _entry(records: Iterable[PackageRecord]) -> dict[str, Any]:
    """The one entry for all Pythons of a subdir, which the records have in common."""
    by_extra: dict[str, list[PackageRecord]] = {}
    for made in records:
        by_extra.setdefault(made.extra, []).append(made)
    own = by_extra.pop("")
    wheel = own[0].wheel
    assert wheel is not None, "only an extra's record is without a wheel"
    depends = _merged(own)
    extras = {extra: _merged(made, without=own[0].name) for extra, made in sorted(by_extra.items())}
    constrains = sorted({_bracketed(spec) for made in own for spec in made.constrains})
    content = json.dumps([wheel.sha256, depends, constrains, extras])
    build = f"py_{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    return {
        **replace(own[0], build=build).index_json(),
        "depends": depends,
        "constrains": constrains,
        "extra_depends": extras,
        "fn": wheel.filename,
        "url": wheel.url,
        "sha256": wheel.sha256,
        "size": wheel.size,
    }


def _merged(records: Iterable[PackageRecord], *, without: str = "") -> list[str]:
    """The dependencies of records for different Pythons, each under the condition of those that have it.

    `without` is the project of an extra: its entry has what that and Python have to be.
    """
    conditions: dict[str, VersionSet] = {}
    possible = NOTHING
    for made in records:
        python = python_of(made)
        possible |= python
        for spec in made.depends:
            if _name(spec) not in {"python", without}:
                conditions[spec] = conditions.get(spec, NOTHING) | python
    merged = [_bracketed(spec, _when(pythons, possible)) for spec, pythons in conditions.items()]
    return sorted(merged if without else [*merged, _bracketed(f"python {possible}".strip())])


def _name(spec: str) -> str:
    return spec.partition(" ")[0]


def _bracketed(spec: str, when: str = "") -> str:
    """CEP 48: "If any field other than name is set, [...] MUST use the name + square-brackets form"."""
    name, version, build = (*spec.split(" "), "", "")[:3]
    fields = {"version": version, "build": build, "when": when}
    inside = ",".join(f'{key}="{value}"' for key, value in fields.items() if value)
    return f"{name}[{inside}]" if inside else name


def _when(pythons: VersionSet, possible: VersionSet) -> str:
    """The condition that holds for `pythons` and for no others of `possible`, "" where it always does.

    CEP 43: queries "MAY be expressed as {name}{operator}{version}", joined by ``and`` and ``or``.
    """
    if pythons == possible:
        return ""
    shortest = min(str(pythons), str(pythons | ~possible), key=len)
    alternatives = [
        " and ".join(f"python{clause}" for clause in alternative.split(","))
        for alternative in shortest.split("|")
    ]
    return alternatives[0] if len(alternatives) == 1 else " or ".join(f"({text})" for text in alternatives)
