"""What a resolution wants to know, and the steps that wait for it: they ask nobody, and are told.

Pure: whoever drives it takes what is wanted, finds it out wherever it is known, and answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from ..model import CondaName, ProjectName, Wheel


@dataclass(frozen=True)
class ChannelWant:
    """Which versions of a conda package, usable in the target, do channels have? -> list of str."""

    name: CondaName


@dataclass(frozen=True)
class PageWant:
    """What does the index say of a project? -> `ProjectPage`, None where no index has it, or the
    `BridgeError` that tells why none is asked."""

    project: ProjectName


@dataclass(frozen=True)
class MetadataWant:
    """What does a wheel's METADATA say? -> `CoreMetadata`, or the `BridgeError` that refuses it."""

    wheel: Wheel


Want = ChannelWant | PageWant | MetadataWant

#: Yields what it wants to know, and is sent the answer.
Step = Generator[Want, object, None]


class Steps:
    """Steps that pause at wants, each of which is handed out once, and `answers` to them."""

    def __init__(self) -> None:
        self.answers: dict[Want, object] = {}
        self._waiting: dict[Want, list[Step]] = {}
        self._asked: list[Want] = []
        self._ready: deque[tuple[Step, object]] = deque()
        self._running = False

    @property
    def idle(self) -> bool:
        """Whether no step waits for an answer."""
        return not self._waiting

    def take(self) -> list[Want]:
        """What must be found out next."""
        asked, self._asked = self._asked, []
        return asked

    def answer(self, want: Want, value: object) -> None:
        """Tell what a want was about; steps go on, and further wants may follow."""
        self.answers[want] = value
        for step in self._waiting.pop(want, ()):
            self.start(step, value)

    def start(self, step: Step, value: object = None) -> None:
        """Queue a step; the outermost caller runs the queue, so that long chains need no deep stack."""
        self._ready.append((step, value))
        if self._running:
            return
        self._running = True
        try:
            while self._ready:
                self._advance(*self._ready.popleft())
        finally:
            self._running = False

    def _advance(self, step: Step, value: object) -> None:
        try:
            want = step.send(value)
            while want in self.answers:
                want = step.send(self.answers[want])
        except StopIteration:
            return
        if want not in self._waiting:
            self._asked.append(want)
        self._waiting.setdefault(want, []).append(step)
