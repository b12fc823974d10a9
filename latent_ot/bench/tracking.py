"""The dashboards of a command (``--track``): each is told by a process of its own what the executor tells the display.

Training goes on and the table is printed whatever becomes of a dashboard: one that is away, refuses or hangs costs one
line, and hears of what it missed by the next command that tracks.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from latent_ot.bench.teller import LASTING, RUNNING, SPEED, Report, Task, main
from latent_ot.bench.trackers import base
from latent_ot.bench.trackers.base import Card, Handed, Tracker, digest, group, tracker
from latent_ot.catalog import SCORING
from latent_ot.record import Record

if TYPE_CHECKING:
    from latent_ot.bench.display import Display
    from latent_ot.bench.grids import Grids
    from latent_ot.bench.plan import RunPlan, StagePlan

AFTER_STOP = 10.0  # seconds that a command which was stopped waits for its dashboards
STATE_SECONDS = 1.0  # between what is told of a stage while it trains


class Wire:
    """The command's end of the line to the process that tells one dashboard.

    ``asked``: what it was asked to tell. ``told``: what it told. ``why``: why not all, as it said at first.
    """

    def __init__(self, name: str, kind: type[Tracker], store: Path, where: Mapping[str, str | None]) -> None:
        from latent_ot.bench.executors.local import without_script, workers

        self.name, self.title = name, kind.title
        self.asked: set[str] = set()
        self.told: set[str] = set()
        self.why = ""
        self.said = self.dead = False
        context = workers()
        self.pipe, theirs = context.Pipe()
        task = Task(name, store, where, dict(os.environ), base.PATIENCE)
        self.process = context.Process(target=main, args=(task, theirs), daemon=True)
        try:
            with without_script():
                self.process.start()
        except (EOFError, OSError) as error:  # the server of workers is gone
            self.dead, self.why = True, f"its process could not be started: {error}"
        theirs.close()

    def send(self, *message: Any) -> None:
        """Pass a message on, if there is still somebody to hear it."""
        if not self.dead:
            try:
                self.pipe.send(message)
            except OSError:
                self.dead = True

    def hear(self) -> str | None:
        """Return a line on the first thing that could not be told, once."""
        while not self.dead and self.pipe.poll():
            self._take()
        if self.said or not self.why:
            return None
        self.said = True
        waits = f"training goes on, and what it misses waits in the store for the next command with --track {self.name}"
        return f"{self.title} hears nothing ({self.why}); {waits}"

    def _take(self) -> bool:
        """Take one message; return whether it was good news."""
        try:
            key, why = self.pipe.recv()
        except (EOFError, OSError):
            self.dead, self.why = True, self.why or "its process ended"
            return False
        if key:
            self.asked.add(key)
            (self.told.discard if why else self.told.add)(key)
        self.why = self.why or (why or "")
        return why is None

    def close(self, patience: float) -> None:
        """Wait until all is told, for as long as there is news; say in one line what waits for another command."""
        last = time.monotonic()
        while not self.dead and self.pipe.poll(max(0.0, last + patience - time.monotonic())):
            last = time.monotonic() if self._take() else last
        if self.process.pid is not None:
            if self.dead:  # it has said all, and may still be closing its own files
                self.process.join(patience)
            self.process.kill()
            self.process.join()
        if (missed := self.asked - self.told) and not self.said:
            why = self.why or f"no answer within {patience:g} s"
            rest = f"they wait in the store for the next command with --track {self.name}"
            print(
                f"{self.title} was not told of {len(missed)} of {len(self.asked)} runs ({why}); {rest}", file=sys.stderr
            )


@dataclass
class Beside:
    """A display that passes on what it is told to dashboards, too. ``scored``: the records of a stage that ended."""

    show: "Display"
    tracking: "Tracking"
    scored: Callable[[str], Iterable[Record]]

    def __post_init__(self) -> None:
        self.last: dict[str, float] = {}

    def start(self, name: str, label: str) -> None:
        """A worker began with a stage."""
        self.show.start(name, label)

    def update(self, name: str, state: dict[str, Any]) -> None:
        """A stage reports."""
        self.show.update(name, state)
        if time.monotonic() - self.last.get(name, -1e9) > STATE_SECONDS:
            self.last[name] = time.monotonic()
            speed = {key: state[word] for key, word in SPEED.items() if word in state}
            self.tracking.send("stage", name, {"status": RUNNING, **speed})
            self._say()

    def end(self, name: str, status: str, reason: str | None) -> None:
        """A stage ended."""
        self.show.end(name, status, reason)
        self.tracking.send("stage", name, {"status": status, "reason": reason})
        if status == "done":
            for record in self.scored(name):
                self.tracking.send("record", record)
        self._say()

    def say(self, line: str) -> None:
        """Leave a line."""
        self.show.say(line)

    def close(self) -> None:
        """The stages are over; what is left to tell follows later."""
        self.show.close()

    def _say(self) -> None:
        for line in self.tracking.hear():
            self.show.say(line)


class Tracking:
    """The dashboards that a command was asked to tell; none at all if it was asked for none."""

    def __init__(self, asked: Sequence[str], store: Path, where: Mapping[str, str | None] | None = None) -> None:
        """See that there are such dashboards, and say where their runs will go, before any work.

        Raises:
            InputError: for an unknown one, or one whose package is missing.
        """
        kinds = {name: tracker(name) for name in dict.fromkeys(asked)}
        for kind in kinds.values():
            kind.check()
        for kind in kinds.values():
            if line := kind.notice():
                print(line, file=sys.stderr)
        self.kinds = {name: kind for name, kind in kinds.items() if kind.able()}
        self.store, self.where = store, where or {}
        self.wires: list[Wire] = []
        self.followed: set[str] = set()
        self.stems: list[str] = []
        self.report: Report | None = None

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for what is left to be told; not for long where the command was stopped."""
        if kind is None and (self.stems or self.report):
            self._start()
        self.send("finish", self.stems, self.report)
        for wire in self.wires:
            wire.asked |= {*self.stems} | ({self.report.key} if self.report else set())
            wire.close(base.PATIENCE if kind is None else min(AFTER_STOP, base.PATIENCE))

    def begin(self, cards: Mapping[str, Card], grids: "Grids") -> None:
        """Let stages be followed; ``cards``: stage -> how it is shown. It may take as long as torch is imported."""
        self._start()
        self.followed |= cards.keys()
        self.send("begin", cards, grids)

    def beside(self, show: "Display", scored: Callable[[str], Iterable[Record]]) -> "Display":
        """Return a display that tells the dashboards what it is told; see ``Beside``."""
        return Beside(show, self, scored) if self.kinds else show

    def owe(self, stems: Iterable[str]) -> None:
        """Let records of the store be told before the command ends, if they were not yet, or are others now."""
        self.stems += stems

    def hand(self, benchmark: str, name: str, tables: Iterable[Handed], tags: Sequence[str] = ()) -> None:
        """Let tables be told before the command ends; the run that has them is the same for the same records."""
        if self.kinds and (found := [*tables]):
            id = digest(benchmark, name, *sorted({*self.stems}))
            self.report = Report(Card(id, name, benchmark, "report", tuple(tags)), found)

    def send(self, *message: Any) -> None:
        """Tell the processes."""
        for wire in self.wires:
            if message[0] == "stage" and message[2]["status"] in (*LASTING, "reused"):
                wire.asked |= {message[1]} & self.followed
            wire.send(*message)

    def hear(self) -> Iterator[str]:
        """Yield lines on dashboards that do not hear, once each."""
        for wire in self.wires:
            if line := wire.hear():
                yield line

    def _start(self) -> None:
        if not self.wires:
            self.wires = [Wire(name, kind, self.store, self.where) for name, kind in self.kinds.items()]


def cards(plans: Sequence["RunPlan"], dataset: str, budget: str) -> dict[str, Card]:
    """Return stage -> how a dashboard shows it, of those stages of the plans that are trained."""
    known = {stage.name: stage for plan in plans for stage in plan.stages}
    users = {name: [plan for plan in plans if any(stage.name == name for stage in plan.stages)] for name in known}
    trained = [stage for stage in known.values() if stage.job["role"] not in SCORING]
    return {stage.name: _card(stage, known, users[stage.name], dataset, budget) for stage in trained}


def _card(
    stage: "StagePlan", known: Mapping[str, "StagePlan"], plans: Sequence["RunPlan"], dataset: str, budget: str
) -> Card:
    """Return the card of a stage that is a part of plans, which agree on its settings."""
    job = stage.job
    below = [known[name].part for name in stage.inputs] if job["role"] == "sampler" else []
    changed = ",".join(f"{key}={value}" for key, value in plans[0].overrides.get(stage.part, {}).items())
    name = "+".join([*below, stage.part]) + (f"[{changed}]" if changed else "")
    settled = {key: job[key] for key in ("role", "name", "images", "width", "seed", "threads", "config")}
    papers = sorted({plan.paper for plan in plans if plan.paper})
    return Card(
        stage.key,
        f"{name}-{job['seed']}-{budget}",
        group(dataset, budget),
        job["role"],
        (dataset, budget, *papers),
        {**settled, "dataset": dataset, "budget": budget},
    )
