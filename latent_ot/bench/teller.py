"""The process that tells one dashboard what happens: it follows stages by their files, and lags rather than delays.

It lives apart from the trainings, whose seconds, memory and randomness stay their own, and from the command, which a
dashboard that is away, refuses or hangs must not hold up. What was told is noted in the store (``Ledger``), so that
nothing is told twice, and what was not is told by the next command.
"""

import contextlib
import json
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_ot import results
from latent_ot.bench import machine
from latent_ot.bench.ledger import NEW, Ledger
from latent_ot.bench.store import Store
from latent_ot.bench.trackers import base
from latent_ot.bench.trackers.base import Card, Figure, Handed, Tracker, digest, group, tracker
from latent_ot.errors import one_line
from latent_ot.files import locked
from latent_ot.quantities import QUANTITIES
from latent_ot.record import COPIED, COSTS, DATA, Record

if TYPE_CHECKING:
    from latent_ot.bench.grids import Grids

RUNNING = "training"
LASTING = ("done", "diverged")
"""How a stage ends for good; any other end may be followed by another training of it."""
SPEED = {"images_per_second": "rate", "memory_mb": "memory_mb"}
"""Curve -> what a worker says of itself while it trains, told at the last point by then."""
RETRY_SECONDS = 60.0  # after which a dashboard that did not answer is tried again while a stage trains
ENDS = ("low", "high")
NOT_SETTINGS = {
    "metrics", "intervals", "yardsticks", "quantities", "curves", "reasons", "reason", "status", "command", "machine",
    "stages", "facts", "updates", "checksum", *COSTS,
}  # fmt: skip


class Point(NamedTuple):
    """What a stage was after so many images: values of its curves, and weights that can be drawn from, if any."""

    images: int
    values: Mapping[str, float]
    weights: Path | None


class Report(NamedTuple):
    """The tables of a benchmark, on a run of their own."""

    card: Card
    tables: Sequence[Handed]

    @property
    def key(self) -> str:
        """What it is noted under."""
        return f"{self.card.name} {self.card.id}"


@dataclass(frozen=True)
class Task:
    """What the process is given: whom to tell, of which store. ``environ``, ``patience``: the command's own."""

    name: str
    store: Path
    where: Mapping[str, str | None]
    environ: Mapping[str, str]
    patience: float


def points(folder: Path, result: Mapping[str, Any] | None) -> list[Point]:
    """Return the points of a stage in order, as far as it is trained; ``result``: what it left at its end, if at it."""
    found: dict[int, dict[str, float]] = {}
    log, weights = folder / "metrics.jsonl", dict[int, Path]()
    for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else ():
        if line.endswith("\n"):  # else it is just being written
            row = json.loads(line)
            images = row.pop("images_seen")
            found[images] = {f"loss/{name}": value for name, value in row.items()}
    for path in (folder / "snapshots").glob("*.safetensors"):  # after the log: what it lacks was not there before
        weights[int(path.stem)] = path
    if result is not None and result["status"] == "done":
        weights[int(result["images_seen"])] = folder / "model.safetensors"
    return [Point(at, found.get(at, {}), weights.get(at)) for at in sorted(found.keys() | weights.keys())]


class Teller:
    """Tells one dashboard of stages, records and tables, and its command of what went wrong."""

    def __init__(
        self,
        store: Store,
        name: str,
        make: Callable[[Card], Tracker],
        say: Callable[[str, str | None], None] = lambda key, why: None,
    ) -> None:
        self.store, self.name, self.make, self.say = store, name, make, say
        self.ledger = Ledger(store.root, name)
        self.cards: dict[str, Card] = {}
        self.grids: Grids | None = None
        self.open: dict[str, tuple[Tracker, contextlib.ExitStack]] = {}
        self.notes: dict[str, dict[str, Any]] = {}  # of the open runs, ahead of the ledger where a dashboard may forget
        self.missed: dict[str, float] = {}  # stage -> when it could not be told
        self.heard: list[Record] = []

    def begin(self, cards: Mapping[str, Card], grids: "Grids") -> None:
        """Take note of stages that are to be followed, by name."""
        self.cards |= cards
        self.grids = grids
        with self.ledger.open() as notes:
            for name, card in cards.items():
                note = notes.setdefault(name, {**NEW})
                if note["end"] is None:
                    note["card"] = asdict(card)

    def stage(self, name: str, state: Mapping[str, Any]) -> None:
        """Tell of a stage what is new. ``state``: its ``status``, and what its worker said last."""
        over = state["status"] != RUNNING
        if name not in self.cards or (not over and time.monotonic() - self.missed.get(name, -1e9) < RETRY_SECONDS):
            return
        with self._trying(name):
            self._stage(name, state, over)
            self.missed.pop(name, None)

    def _stage(self, name: str, state: Mapping[str, Any], over: bool) -> None:
        folder, note = self.store.folder(name), self.notes.get(name) or self.ledger.note(name)
        result = self.store.result(name) if over else None
        status = result["status"] if result else state["status"]
        if note["end"] in LASTING:
            self.say(name, None)
            return
        found, known = points(folder, result), {*note["pictures"]}
        fresh = [p for p in found if p.images > note["images"] or (p.weights and p.images not in known)]
        if not fresh and name not in self.open and (not over or (result is None and status != "failed")):
            return
        if (run := self._opened(name, self.cards[name])) is None:
            return
        after = note["images"] if run.reached is None else run.reached
        run.reached = None  # from here on the note says it
        for point in (p for p in found if p.images > after or p in fresh):
            values = dict(point.values) if point.images > after else {}
            if point is found[-1] and values:
                values |= {key: state[key] for key in SPEED if key in state}
            run.log(point.images, values, None if point.images in known else self._drawn(folder, point))
        run.flush()
        told = {"images": found[-1].images, "pictures": [p.images for p in found if p.weights]} if found else {}
        if not over:
            self.notes[name] = {**note, **told}
            if run.keeps:
                self.ledger.note(name, **told)
            return
        run.figures(_ended(status, state, result))
        self._close(name, failed=status in ("diverged", "failed"))
        self.ledger.note(name, **told, end=status if result else None)
        if result:
            self.say(name, None)

    def _drawn(self, folder: Path, point: Point) -> Path | None:
        """Return the grid of a point's weights, if there are any and they can be drawn from."""
        if point.weights is None or self.grids is None:
            return None
        try:
            grid = self.grids.draw(folder, point.images, point.weights)
            self.say("", None)  # a sign of life
            return grid
        except Exception as error:  # such as a sampler that draws nothing before its end; a picture less
            print(f"{folder.name} at {point.images}: no grid: {error}", flush=True)
            return None

    def record(self, record: Record) -> None:
        """Tell of a method that was scored, unless the dashboard knows it as it is now."""
        self.heard = [other for other in self.heard if other.stem != record.stem] + [record]
        repeating = results.repeating(other for other in self.heard if _comparable(other, record)) or ()
        repeats = record.method in repeating if COPIED in record.metrics else "not measured"
        token, key = f"{record.checksum} {repeats}", record.stem
        with self._trying(key):
            if self.ledger.note(key)["end"] != token:
                if (run := self._opened(key, scored(record))) is None:
                    return
                self._curves(run, record)
                run.figures({**_figures(record), "repeats_training_images": repeats})
                self._close(key, failed=record.status in ("diverged", "failed"))
                self.ledger.note(key, end=token)
            self.say(key, None)

    def _curves(self, run: Tracker, record: Record) -> None:
        """Tell of all that was followed over a record's training, and show the samples that were scored."""
        curves = {f"loss/{name}": series for name, series in record.curves.loss.items()}
        curves |= {f"curve/{name}": record.curves.series(name) for name in QUANTITIES}
        end, picture = record.images_seen or 0, self._samples(record)
        places: dict[float, dict[str, float]] = {end: {}} if picture is not None else {}
        for name, series in curves.items():
            for images, value in series:
                if value is not None:
                    places.setdefault(images, {})[name] = value
        for images in sorted(places):
            if run.reached is None or images > run.reached:
                run.log(int(images), places[images], picture if images == end else None)

    def _samples(self, record: Record) -> Path | None:
        """Return the sample grid of a record's run, if there is one."""
        key = record.stages[-1].key if record.stages else None
        return next(self.store.stages.glob(f"*-{key}/samples.png"), None)

    def report(self, report: Report) -> None:
        """Tell of tables, unless the dashboard has them as they are."""
        token = digest(*(json.dumps(asdict(table), sort_keys=True) for table in report.tables))
        with self._trying(key := report.key):
            if self.ledger.note(key)["end"] != token:
                if (run := self._opened(key, report.card)) is None:
                    return
                for table in report.tables:
                    run.table(table)
                self._close(key)
                self.ledger.note(key, end=token)
            self.say(key, None)

    def finish(self, stems: Sequence[str], report: Report | None) -> None:
        """Tell what is left: records of the store, by stem, tables, and what earlier commands owe."""
        for name in [*self.open]:
            self.stage(name, {"status": "interrupted"})
        known = {record.stem: record for record in results.load(self.store.root)}
        with self.ledger.open() as notes:
            for stem in stems:
                notes.setdefault(stem, {**NEW})
            for key in [*notes]:
                card = notes[key].get("card")
                if card is not None and self.store.folder(key).exists():
                    self.cards.setdefault(key, Card(**{**card, "tags": tuple(card["tags"])}))
                elif notes[key]["end"] is None and key not in known:
                    del notes[key]  # gone, or told under another name
            owed = [key for key, note in notes.items() if note["end"] is None]
        for name in owed:
            if name in self.cards and self.store.result(name) is not None:
                self.stage(name, {"status": "done"})
        self.heard = [*known.values()]
        for stem in dict.fromkeys([*stems, *owed]):
            if stem in known:
                self.record(known[stem])
        if report is not None:
            self.report(report)

    def _opened(self, key: str, card: Card) -> Tracker | None:
        """Return a run, opened if need be; None while another command tells of it."""
        if key not in self.open:
            stack = contextlib.ExitStack()
            lock = self.store.root / "tracking" / "locks" / f"{self.name}-{card.id}.lock"
            if not stack.enter_context(locked(lock, wait=False)):
                return None
            try:
                run = self.make(card)
                self.open[key] = run, stack
                if key in self.cards:
                    run.figures({"status": RUNNING})
            except BaseException:
                stack.close()
                raise
        return self.open[key][0]

    def _close(self, key: str, failed: bool = False) -> None:
        run, stack = self.open.pop(key)
        self.notes.pop(key, None)
        with stack:
            run.close(failed)

    @contextlib.contextmanager
    def _trying(self, key: str) -> Iterator[None]:
        """Say why something could not be told, whatever happens: it is somebody else's program, and it may exit."""
        try:
            yield
        except BaseException as error:
            traceback.print_exc()
            self.missed[key] = time.monotonic()
            if key in self.open:
                with contextlib.suppress(BaseException):
                    self._close(key, failed=True)
            self.say(key, one_line(" ".join(f"{type(error).__name__}: {error}".split()))[:200])


def scored(record: Record) -> Card:
    """Return the card of a method that was scored, under the key of its evaluation."""
    told = record.model_dump(mode="json", by_alias=True)
    evaluator = (record.protocol and record.protocol.evaluator) or ""
    return Card(
        record.stages[-1].key if record.stages else digest(record.stem),
        "-".join(filter(None, (record.method, str(record.seed), record.budget, evaluator))),
        group(record.dataset, record.budget),
        "evaluate",
        tuple(filter(None, (record.dataset, record.budget, record.paper))),
        {name: value for name, value in told.items() if name not in NOT_SETTINGS},
    )


def _comparable(one: Record, other: Record) -> bool:
    """Whether two runs may share a column; the data row depends on the protocol alone."""
    ids = [run.protocol and run.protocol.id for run in (one, other)]
    return ids[0] == ids[1] and one.dataset == other.dataset and (one.method == DATA or one.at == other.at)


def _figures(record: Record) -> dict[str, Figure]:
    """Return what a record came to: metrics with the ends of their intervals, how it ended, and what it took."""
    ends = {
        f"{key}_{end}": value for key, both in record.intervals.items() for end, value in zip(ENDS, both, strict=True)
    }
    costs = {key: value for key in COSTS if (value := record.value(key)) is not None}
    reason = {"reason": record.reason} if record.reason else {}
    return {**record.metrics, **ends, **costs, "status": record.status, **reason}


def _ended(status: str, state: Mapping[str, Any], result: Mapping[str, Any] | None) -> dict[str, Figure]:
    """Return how a stage ended, and what it took."""
    known = {**state, **(result or {}), "status": status}
    return {key: known[key] for key in ("status", "reason", *COSTS) if known.get(key) is not None}


class Mail:
    """Messages of the command, read at once, so that it never waits for a dashboard."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.messages = pipe, queue.SimpleQueue[Any]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.messages.put(self.pipe.recv())
        self.messages.put(None)  # the command is gone, killed perhaps: what is open is closed, if it can be
        time.sleep(base.PATIENCE)
        os._exit(1)

    def __iter__(self) -> Iterator[Any]:
        """Yield messages as they come, of what a stage says only the last; None when the command is gone."""
        while True:
            found = [self.messages.get()]
            while not self.messages.empty():
                found.append(self.messages.get())
            last = {message[1]: message for message in found if message and message[0] == "stage"}
            yield from (m for m in found if m is None or m[0] != "stage" or last[m[1]] is m)


def main(task: Task, pipe: Connection) -> None:
    """Entry point of the process: do as the command says, until it says ``finish`` or is gone."""
    os.environ.clear()
    os.environ.update(task.environ)
    base.PATIENCE = task.patience
    os.nice(10)
    machine.limit_threads(1)
    folder = task.store / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):  # what is printed meanwhile is no line of the command's
        os.dup2(log, number)

    def say(key: str, why: str | None) -> None:
        with contextlib.suppress(OSError):
            pipe.send((key, why))

    def make(card: Card) -> Tracker:
        return tracker(task.name)(folder, card, task.where)

    teller = Teller(Store(task.store), task.name, make, say)
    for message in Mail(pipe):
        kind, *rest = message or ("finish", (), None)
        getattr(teller, kind)(*rest)
        if kind == "finish":
            break
