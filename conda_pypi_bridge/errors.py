"""What can go wrong, each with its fields; ``str()`` writes the one sentence a person reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from .redaction import redact


class BridgeError(Exception):
    """Root of every error that a user can meet.

    ``str(error)`` is one line that a person understands; `hint` is the next thing to try
    (an empty string where there is nothing useful to say). Neither has what may be secret: chains of
    exceptions are shown by others, too.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = redact(message)
        self.hint = redact(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class SpecError(BridgeError):
    """A SPEC or a requirement that cannot be read, or asks for what is not supported."""

    def __init__(self, text: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"cannot use {text!r}: {reason}", hint=hint)
        self.text = text
        self.reason = reason


class Untranslatable(BridgeError):
    """A PEP 440/508 construct that no conda spec expresses exactly: refused, never guessed."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} has no exact conda equivalent: {reason}")
        self.text = text
        self.reason = reason


class IndexFailure(BridgeError):
    """The package index could not be reached, or answered with something unusable.

    It is `lasting` where the answer was clear, and asking for the same file again will bring no other.
    """

    def __init__(self, url: str, reason: str, *, hint: str = "", lasting: bool = False) -> None:
        super().__init__(f"package index: {url}: {reason}", hint=hint)
        self.url = url
        self.reason = reason
        self.lasting = lasting


class PageUnusable(IndexFailure):
    """The index answers, and says itself that what it has of a project must not be used."""


class MetadataRefused(IndexFailure):
    """The index's metadata of one wheel cannot be right: another version of the project may do."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason, lasting=True)


class OfflineError(BridgeError):
    """``--offline`` was given and something needed is in no cache."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"offline, and not in the cache: {what}", hint="Run once without --offline to fill the cache."
        )
        self.what = what


class OtherIndex(BridgeError):
    """An installed project came from an index that is not configured now, and is asked for nowhere else."""

    def __init__(self, project: str, index: str, *, absent: bool = False) -> None:
        where = "no other index has it" if absent else "it is looked for nowhere else"
        super().__init__(
            f"{project} came from {index}, which is not configured now, and {where}",
            hint=f"Name that index: --extra-index-url {index}"
            " (for good, in condarc: plugins: pypi_bridge_extra_index_urls)",
        )
        self.project = project
        self.index = index


class NotFound(BridgeError):
    """No channel and no index has the project."""

    def __init__(self, project: str, *, places: Sequence[str] = (), required_by: str = "") -> None:
        wanted = f" (required by {required_by})" if required_by else ""
        where = ", ".join(places) or "any configured channel or index"
        super().__init__(
            f"no package named {project!r}{wanted} in {where}", hint="Check the spelling of the name."
        )
        self.project = project
        self.required_by = required_by


class NoExtras(BridgeError):
    """A channel has the project, and no index that could tell what its extras are."""

    def __init__(self, project: str, *, required_by: str = "") -> None:
        wanted = f" (required by {required_by})" if required_by else ""
        super().__init__(
            f"{project}{wanted}: no index has it, so that nothing tells what its extras are",
            hint=f"Leave out the extras: {project}",
        )
        self.project = project


class NoFittingWheel(BridgeError):
    """The project exists, but nothing that can be installed here fits what was asked."""

    def __init__(self, project: str, reason: str, *, required_by: str = "", hint: str = "") -> None:
        wanted = f" (required by {required_by})" if required_by else ""
        super().__init__(f"{project}{wanted}: {reason}", hint=hint)
        self.project = project
        self.reason = reason
        self.required_by = required_by


class WheelRefused(BridgeError):
    """A wheel that breaks a rule of its format, or is dangerous: nothing of it was written."""

    def __init__(self, filename: str, rule: str, detail: str, *, member: str = "") -> None:
        where = f": {member!r}" if member else ""
        super().__init__(f"{filename}{where}: {detail} [{rule}]")
        self.filename = filename
        self.rule = rule
        self.detail = detail
        self.member = member


class SdistRefused(BridgeError):
    """A source distribution that cannot be read, or breaks a rule of its format."""

    def __init__(self, filename: str, reason: str) -> None:
        super().__init__(f"{filename}: {reason}")
        self.filename = filename
        self.reason = reason


class Unsatisfiable(BridgeError):
    """No set of packages meets all requests; `explanation` says who wants what."""

    def __init__(self, explanation: str, *, hint: str = "") -> None:
        super().__init__(f"the requests cannot be met together: {explanation}", hint=hint)
        self.explanation = explanation


class Blocked(BridgeError):
    """A project that the user wants nothing of."""

    def __init__(self, project: str, *, required_by: str = "") -> None:
        by = f" (required by {required_by})" if required_by else ""
        super().__init__(
            f"{project}{by} is on your block list", hint="The list is in condarc: plugins: pypi_bridge_block."
        )
        self.project = project


class Newcomer(BridgeError):
    """A project whose first release is younger than the user trusts unseen."""

    def __init__(self, project: str, first: dt.datetime) -> None:
        super().__init__(
            f"{project} is new on PyPI: its first release is of {first:%Y-%m-%d}",
            hint=f"Check the name. If it is meant: conda pypi-install {project}"
            " (condarc has the limit: plugins: pypi_bridge_min_age_days)",
        )
        self.project = project
        self.first = first


class ChannelFailure(BridgeError):
    """A conda channel could not be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"a channel cannot be read: {reason}", hint="Check -c, your condarc files and the network."
        )
        self.reason = reason


class PrefixError(BridgeError):
    """The target environment is missing, unusable or not to be touched."""

    def __init__(self, prefix: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{prefix}: {reason}", hint=hint)
        self.prefix = prefix
        self.reason = reason


class NotInstalled(BridgeError):
    """Nothing of that name is in the environment; `among` are names that are, one of which may be meant."""

    def __init__(self, name: str, prefix: str, *, among: Iterable[str]) -> None:
        import difflib  # which nearly no command needs

        known = sorted(set(among))
        self.name = name
        self.near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=3)
        meant = f"; did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__(f"{prefix}: nothing named {name!r} is installed{meant}")


class NoRoom(BridgeError):
    """A disk has fewer bytes `free` than what is to be downloaded `needs`."""

    def __init__(self, folder: str, needs: int, free: int) -> None:
        super().__init__(
            f"{folder}: not enough room: {needs / 1e6:.1f} MB are to come, {free / 1e6:.1f} MB are free",
            hint="Make room; `conda pypi-bridge cache` shows what can go.",
        )
        self.folder = folder
        self.needs = needs
        self.free = free


class Busy(BridgeError):
    """A server cannot answer yet; `retry_after` is in seconds."""

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__(f"not yet: {reason}", hint=f"Try again in {retry_after} seconds.")
        self.reason = reason
        self.retry_after = retry_after


class ConfigError(BridgeError):
    """A configuration file or option that cannot be used."""


class NoLibrary(ConfigError):
    """`what` needs a `library` that only an `extra` of this package brings."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {library}, which is not installed",
            hint=f'Install it: python -m pip install "conda-pypi-bridge[{extra}]"',
        )
        self.library = library
        self.extra = extra


class Cancelled(BridgeError):
    """The user said no."""

    def __init__(self) -> None:
        super().__init__("cancelled; nothing was changed")
