"""One stage in a process of its own: a crash, a full memory or a killed worker costs that stage alone."""

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from latent_ot.bench import machine
from latent_ot.bench.evaluate import evaluate
from latent_ot.bench.identity import MadeOf, made_of, scored_by
from latent_ot.bench.load import code_std, load_stage, make
from latent_ot.bench.reconstruct import reconstruct
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.store import Store
from latent_ot.bench.train import Diverged, Stopped, Watch, as_tensor, train
from latent_ot.catalog import SCORING, Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.errors import Declined, InputError
from latent_ot.files import whole, write_json
from latent_ot.methods.base import Method
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Spec

STOP = signal.SIGUSR1  # not SIGTERM, which Lightning takes for itself while it trains


@dataclass(frozen=True)
class Order:
    """A stage to run and where: nothing in here but ``job`` changes what comes out."""

    name: str
    job: Mapping[str, Any]
    inputs: tuple[str, ...]
    store: Path
    data_dir: Path
    source: str
    subset: int | None
    plugins: tuple[Path, ...]
    weights: Path | None
    device: str
    checkpoint_seconds: float = 20.0


class Line:
    """The worker's line to the command that started it: progress out, a wish to stop in."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.stop = False
        self.sent = 0.0
        self.state: dict[str, Any] = {}

    def report(self, **values: Any) -> None:
        """Pass progress on, at most five times a second; a broken line means that the command is gone."""
        self.state |= values
        if time.monotonic() - self.sent > 0.2:
            self.sent = time.monotonic()
            self.send(self.state)

    def report_or_stop(self, **values: Any) -> None:
        """Pass progress on, or end here if asked to: for work that starts anew rather than resumes.

        Raises:
            Stopped: if the command asked this worker to stop.
        """
        if self.stop:
            raise Stopped
        self.report(**values)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; stop at the next whole step if nobody listens any more."""
        try:
            self.pipe.send(message)
        except OSError:
            self.stop = True

    def should_stop(self) -> bool:
        """Whether the command asked this worker to stop."""
        return self.stop


def main(order: Order, pipe: Connection) -> None:
    """Entry point of the worker process: run the stage, write ``result.json`` or ``failed.json``, say how it ended."""
    line = Line(pipe)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which then asks its workers to stop
    signal.signal(STOP, lambda *_: setattr(line, "stop", True))
    store = Store(order.store)
    folder = store.folder(order.name)
    with store.claim(order.name) as mine:
        if not mine:
            line.send({"end": "busy"})
            return
        if store.result(order.name) is not None:
            line.send({"end": "done"})
            return
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.txt").open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            logging.basicConfig(stream=log, level=logging.WARNING, force=True)
            for name in ("lightning.pytorch", "lightning.fabric"):
                logging.getLogger(name).setLevel(logging.ERROR)
            warnings.simplefilter("ignore")
            end = _run(order, store, folder, line)
        line.send(end)


def _run(order: Order, store: Store, folder: Path, line: Line) -> dict[str, Any]:
    try:
        result = run_stage(order, store, folder, line)
    except Stopped:
        return {"end": "stopped"}
    except Diverged as error:
        write_json(folder / "result.json", {"status": "diverged", "reason": str(error)})
        return {"end": "diverged", "reason": str(error)}
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        lines = str(error).splitlines()
        reason = (
            lines[0]
            if isinstance(error, InputError | Declined)
            else f"{type(error).__name__}: {lines[0] if lines else ''}"
        )
        write_json(folder / "failed.json", {"reason": reason})
        return {"end": "failed", "reason": reason}
    (folder / "failed.json").unlink(missing_ok=True)
    write_json(folder / "result.json", {"status": "done", **result})
    return {"end": "done"}


def run_stage(order: Order, store: Store, folder: Path, line: Line) -> dict[str, Any]:
    """Train, fit or evaluate, and return what ``result.json`` says of it."""
    job = order.job
    limit_threads(job["threads"])
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing here reads it
    device = torch.device(order.device)
    catalog = Catalog(order.plugins)
    dataset = load(order.source, order.data_dir, order.subset)
    if dataset.content_id != job["dataset"]["content"]:
        raise InputError(f"data set '{dataset.id}': its images have changed since this command began; run it again")
    folders = {role: store.folder(name) for role, name in zip(job["inputs"], order.inputs, strict=True)}
    started = time.monotonic()
    if job["role"] in SCORING:
        write_json(folder / "config.json", {"job": job})
        _check_parts(job, scored_by(catalog, job, dataset.kind, job.get("protocol", {}).get("evaluator")))
    if job["role"] == "evaluate":
        scorer = Scorer(dataset, job["protocol"], order.weights, store.cache, device)
        result = evaluate(job, folders, scorer, catalog, folder, device, line.report_or_stop)
    elif job["role"] == "reconstruct":
        result = reconstruct(job, folders, dataset, catalog, folder, device, line.report_or_stop)
    else:
        result = _train(job, folders, dataset, catalog, folder, device, order.checkpoint_seconds, line)
    result["wall_seconds"] = round(time.monotonic() - started, 3)
    result["peak_memory_mb"] = machine.peak_memory_mb(device)
    result["machine"] = {**machine.describe(device), "threads": job["threads"]}
    result["versions"] = machine.versions()
    result["commit"] = machine.commit()
    return result


def limit_threads(threads: int) -> None:
    """Let every library that shares work among threads take so many: sums, hence results, depend on it."""
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(threads)  # for libraries that are loaded later
    threadpool_limits(threads)
    torch.set_num_threads(threads)


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
) -> dict[str, Any]:
    on_codes = job["role"] == "sampler"
    rows = load_file(folders["train"] / "codes.safetensors")["codes"] if on_codes else dataset.train
    shape = tuple(rows.shape[1:]) if on_codes else dataset.shape
    spec = Spec(shape, len(rows), job["images"], job["width"], job["seed"])
    config = {"job": job, "spec": asdict(spec), "kind": dataset.kind}
    write_json(folder / "config.json", config)
    stage = make(catalog, config, [load_stage(catalog, folders[part["role"]]) for part in job.get("parts", ())])
    _check_parts(job, made_of(stage))
    if isinstance(stage, LatentSampler) and stage.draws:
        stage.std = code_std(catalog, folders["train"], dataset.train, device)
    result = train(stage, rows, folder, Watch(line.report, line.should_stop, seconds), device)
    if isinstance(stage, Method) and stage.role == "representation":
        with torch.no_grad():
            codes = load_stage(catalog, folder).to(device).codes(as_tensor(rows))  # type: ignore[operator]
        with whole(folder / "codes.safetensors") as part:
            save_file({"codes": codes.float().cpu().contiguous()}, part)
    return result
