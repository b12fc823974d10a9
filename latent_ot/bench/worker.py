"""One stage in a process of its own: a crash, a full memory or a killed worker costs that stage alone."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from latent_ot.bench import contract, machine
from latent_ot.bench.death import full
from latent_ot.bench.drawn import Drawn
from latent_ot.bench.evaluate import evaluate
from latent_ot.bench.identity import MadeOf, made_of, scored_by
from latent_ot.bench.load import code_std, load_stage, make
from latent_ot.bench.reconstruct import reconstruct
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.store import CONFIG, Store, finish
from latent_ot.bench.together import STOP, together
from latent_ot.bench.train import Diverged, Stopped, Watch, as_tensor, train
from latent_ot.catalog import SCORING, Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.errors import Declined, InputError, StoreError, one_line
from latent_ot.files import MACHINE, unwritable, write_json
from latent_ot.interrupts import drop
from latent_ot.methods.base import Method
from latent_ot.ranks import ALONE, Rank
from latent_ot.record import UNSTEADY
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Spec
from latent_ot.tensors import read_codes, write_tensors

UNWRITABLE = "unwritable"
"""The end of a stage whose files the disk did not take."""


@dataclass(frozen=True)
class Order:
    """A stage to run and where: nothing in here but ``job`` changes what comes out.

    ``devices``: one, or as many as ``job`` asks for, each for a process. ``weights``: a file of the evaluator's.
    ``drawn``: see ``drawn.Drawn``, where others score the same run, too.
    """

    name: str
    job: Mapping[str, Any]
    inputs: tuple[str, ...]
    store: Path
    data_dir: Path
    source: str
    subset: int | None
    plugins: tuple[Path, ...]
    weights: Path | None
    devices: tuple[str, ...]
    checkpoint_seconds: float = 20.0
    drawn: Path | None = None


class Line:
    """The worker's line to the command that started it: progress out, a wish to stop in.

    The wish ends the process at once, wherever it is, but for the steps of a training, which end by a checkpoint; where
    several processes train, it is rank 0's, whose process id ``leader`` is.
    """

    def __init__(self, pipe: Connection, device: str = "cpu") -> None:
        self.pipe, self.device = pipe, torch.device(device)
        self.stop = self.stepping = self.sending = False
        self.sent = 0.0
        self.state: dict[str, Any] = {}
        self.leader: int | None = None

    def report(self, **values: Any) -> None:
        """Pass progress on, at most five times a second; a broken line means that the command is gone."""
        self.state |= values
        if time.monotonic() - self.sent > 0.2:
            self.sent = time.monotonic()
            taken = {"memory_mb": machine.memory_mb(self.device), **machine.gpu_room(self.device)}
            self.send({**self.state, **taken})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; stop at the next whole step if nobody listens any more."""
        self.sending = True
        try:
            self.pipe.send(message)
        except OSError:
            self.stop = True
        finally:
            self.sending = False

    @contextlib.contextmanager
    def steps(self) -> Iterator[None]:
        """Let the block come to its own end when the command asks this worker to stop."""
        self.stepping = True
        try:
            yield
        finally:
            self.stepping = False

    def asked(self, *_: Any) -> None:
        """Take the signal by which the command asks this worker to stop."""
        self.stop = True
        if self.leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, STOP)
        elif not self.stepping:
            if not self.sending:  # else the end of the line says it
                self.send({"end": "stopped"})
            drop()
            os._exit(0)

    def should_stop(self) -> bool:
        """Whether the command asked this worker to stop."""
        return self.stop


def main(order: Order, pipe: Connection) -> None:
    """Entry point of the worker process: run the stage, write ``result.json`` or ``failed.json``, say how it ended."""
    line = Line(pipe, order.devices[0])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which then asks its workers to stop
    signal.signal(STOP, line.asked)
    if len(order.devices) == 1:  # else once the others are forked: a process that forks has no thread
        _outlive_nobody()
    try:
        line.send(_claimed(order, line))
    except OSError as error:
        line.send(_unwritable(order, error))


def _claimed(order: Order, line: Line) -> dict[str, Any]:
    """Run the stage, unless it is done or another command works on it, and return how it ended."""
    store = Store(order.store)
    folder = store.folder(order.name)
    with store.claim(order.name) as mine:
        if not mine:
            return {"end": "busy"}
        if store.result(order.name) is not None:
            return {"end": "done"}
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.part"):  # of a worker that was killed in the midst of writing it
            left.unlink()
        with (
            (folder / "log.txt").open("a", encoding="utf-8") as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            logging.basicConfig(stream=log, level=logging.WARNING, force=True)
            for name in ("lightning.pytorch", "lightning.fabric"):
                logging.getLogger(name).setLevel(logging.ERROR)
            warnings.simplefilter("ignore")
            return _run(order, store, folder, line)


def _outlive_nobody() -> None:
    """Stop this worker when the process that started it is gone, killed perhaps."""
    command = multiprocessing.parent_process()
    if command is not None:

        def watch() -> None:
            command.join()
            os.kill(os.getpid(), STOP)

        threading.Thread(target=watch, daemon=True).start()


def _run(order: Order, store: Store, folder: Path, line: Line) -> dict[str, Any]:
    """Run the stage, by as many processes as it has devices, and keep what came of it."""

    def rank(place: Rank, pipe: Connection) -> None:
        line.pipe.close()
        own = Line(pipe, order.devices[place.number])
        signal.signal(STOP, own.asked if place.leads else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {STOP})
        own.send(_outcome(order, store, folder, own, place))

    def begun(leader: int) -> None:
        line.leader = leader
        _outlive_nobody()

    alone = len(order.devices) == 1
    end = _outcome(order, store, folder, line) if alone else together(len(order.devices), rank, begun, line.send)
    line.leader = None
    if end["end"] == "done":
        (folder / "failed.json").unlink(missing_ok=True)
        finish(folder, {"status": "done", **end.pop("result")})
    elif end["end"] == "diverged":
        finish(folder, {"status": "diverged", "reason": end["reason"], "machine": end["machine"]})
    elif end["end"] == "failed":
        write_json(folder / "failed.json", {"reason": end["reason"]})
    return end


def _outcome(order: Order, store: Store, folder: Path, line: Line, rank: Rank = ALONE) -> dict[str, Any]:
    """Run the stage here and return how it ended; of one that is done with its ``result``."""
    try:
        return {"end": "done", "result": run_stage(order, store, folder, line, rank)}
    except Stopped:
        return {"end": "stopped"}
    except Diverged as error:
        return {"end": "diverged", "reason": str(error), "machine": _made_on(order, rank)}
    except Exception as error:
        if isinstance(error, StoreError) or getattr(error, "errno", None) in MACHINE:
            return _unwritable(order, error)
        traceback.print_exc(file=sys.stderr)
        if (memory := full(error)) is not None:
            return {"end": "failed", "reason": memory, "full": True}
        first = one_line((str(error).splitlines() or [""])[0])
        told = isinstance(error, InputError | Declined)
        return {"end": "failed", "reason": first if told else f"{type(error).__name__}: {first}"}


def _unwritable(order: Order, error: Any) -> dict[str, Any]:
    """Return the end of a stage by the disk's fault, which the stage can do nothing about."""
    why = error if isinstance(error, StoreError) else unwritable(order.store, error)
    return {"end": UNWRITABLE, "reason": str(why)}


def run_stage(order: Order, store: Store, folder: Path, line: Line, rank: Rank = ALONE) -> dict[str, Any]:
    """Train, fit or evaluate, and return what ``result.json`` says of it; nothing, of a rank that does not lead."""
    job = order.job
    unsteady = machine.be_deterministic()
    machine.limit_threads(job["threads"])
    device = torch.device(order.devices[rank.number])
    machine.leave_out_gpus(device, os.environ)
    catalog = Catalog(order.plugins)
    dataset = load(order.source, order.data_dir, order.subset)
    if dataset.content_id != job["dataset"]["content"]:
        raise InputError(f"data set '{dataset.id}': its images have changed since this command began; run it again")
    folders = {role: store.folder(name) for role, name in zip(job["inputs"], order.inputs, strict=True)}
    started = time.monotonic()
    if job["role"] in SCORING:
        write_json(folder / CONFIG, {"job": job}, durable=True)
        _check_parts(job, scored_by(catalog, job, dataset.kind, job.get("protocol", {}).get("evaluator")))
    if job["role"] == "evaluate":
        scorer = Scorer(dataset, job["protocol"], order.weights, store.cache, device, Drawn(order.drawn))
        result = evaluate(job, folders, scorer, catalog, folder, device, line.report)
    elif job["role"] == "reconstruct":
        result = reconstruct(job, folders, dataset, catalog, folder, device, line.report)
    else:
        result = _train(job, folders, dataset, catalog, folder, device, order.checkpoint_seconds, line, rank)
        if not rank.leads:
            return {}
    if unsteady:
        result["facts"] = {**result.get("facts", {}), UNSTEADY: ", ".join(sorted(unsteady))}
    result["wall_seconds"] = round(time.monotonic() - started, 3)
    result["peak_memory_mb"] = machine.peak_memory_mb(device)
    result["machine"] = _made_on(order, rank)
    result["versions"] = machine.versions()
    result["commit"] = machine.commit()
    return result


def _made_on(order: Order, rank: Rank) -> dict[str, Any]:
    return {**machine.describe(torch.device(order.devices[rank.number])), "threads": order.job["threads"]}


def _check_parts(job: Mapping[str, Any], found: MadeOf) -> None:
    """Refuse to file a result under a key of other versions: someone raised one since the plan."""
    if "stage" in found and "stage" not in job["made_of"]:  # a plugin that could not be built small
        found = {"plugin": found["plugin"]}
    if found != job["made_of"]:
        raise InputError(f"{job['name']}: a version has changed since this command began; run it again")


def _train(
    job: Mapping[str, Any],
    folders: dict[str, Path],
    dataset: Dataset,
    catalog: Catalog,
    folder: Path,
    device: torch.device,
    seconds: float,
    line: Line,
    rank: Rank = ALONE,
) -> dict[str, Any]:
    on_codes = job["role"] == "sampler"
    rows = read_codes(folders["train"] / "codes.safetensors") if on_codes else dataset.train
    shape = tuple(rows.shape[1:]) if on_codes else dataset.shape
    spec = Spec(shape, len(rows), job["images"], job["width"], job["seed"])
    config = {"job": job, "spec": asdict(spec), "kind": dataset.kind}
    if rank.leads:
        write_json(folder / CONFIG, config, durable=True)
    stage = make(catalog, config, [load_stage(catalog, folders[part["role"]]) for part in job.get("parts", ())])
    _check_parts(job, made_of(stage))
    if isinstance(stage, LatentSampler) and stage.draws:
        stage.std = code_std(catalog, folders["train"], dataset.train, device)
    result = train(stage, rows, folder, Watch(line.report, line.should_stop, seconds, line.steps), device, rank)
    if rank.leads and isinstance(stage, Method) and stage.role == "representation":
        with torch.no_grad():
            trained = load_stage(catalog, folder).to(device)
            assert isinstance(trained, Method)
            codes = contract.training_codes(trained, as_tensor(rows))
        write_tensors(folder / "codes.safetensors", {"codes": codes.float()})
    return result
