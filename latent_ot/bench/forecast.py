"""What a benchmark would do, and how long that takes here: from earlier stages of this machine, or from ten steps."""

import contextlib
import heapq
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from latent_ot.bench import machine
from latent_ot.bench.plan import RunPlan, StagePlan
from latent_ot.bench.store import Store, config_of, result_of
from latent_ot.bench.worker import Order
from latent_ot.catalog import SCORING
from latent_ot.errors import Damaged, InputError, one_line
from latent_ot.stage import Spec

if TYPE_CHECKING:
    from latent_ot.bench.benchmark import Benchmark

STEPS = 10
PATIENCE = 20.0  # seconds, after which fewer steps must do
DONE = ("done", "diverged")
ALIKE = ("role", "name", "config", "width", "threads", "devices", "protocol", "rules")
"""Of a job, what the time that it takes depends on beside the length of its training and the data set."""


@dataclass(frozen=True)
class Forecast:
    """A stage, how it stands, and what is left of it.

    ``state``: done, diverged, running (in another command), stopped (it goes on from its checkpoint), failed or new.
    ``share``: of its training that is done. ``seconds``: what it takes from here, None if that is not known;
    ``source``: how it is known, or why not.
    """

    stage: StagePlan
    state: str
    share: float
    seconds: float | None
    source: str


def outlook(benchmark: "Benchmark") -> dict[str, Any]:
    """Return what a benchmark would do, as a program reads it.

    Keys: ``dataset``, ``budget``, ``device``; ``stages``, each with the fields of ``Forecast`` and its ``label``;
    ``declined``, name of a row -> why; ``workers``, and the ``seconds`` that these take together for what is left.
    """
    plans = benchmark.plan()
    found = forecast(benchmark, plans)
    left = {one.stage.name for one in found if one.state not in DONE}
    slots = len(benchmark.resources.slots(sum(any(stage.name in left for stage in plan.stages) for plan in plans)))
    stages = [
        {**{f.name: getattr(one, f.name) for f in fields(one)}, "stage": one.stage.name, "label": one.stage.label}
        for one in found
    ]
    return {
        "dataset": benchmark.dataset.id,
        "budget": benchmark.budget.name,
        "device": benchmark.resources.device,
        "stages": stages,
        "declined": {plan.label: plan.declined for plan in plans if plan.declined},
        "workers": slots // benchmark.request.devices_per_run,
        "seconds": together(found, slots),
    }


def forecast(benchmark: "Benchmark", plans: Sequence[RunPlan]) -> list[Forecast]:
    """Return the stages of plans in the order in which they start; those alike are measured once."""
    store, here = benchmark.store, _here(benchmark)
    known, tried = _earlier(store, here), dict[str, tuple[float | None, str]]()
    found = []
    for stage in {stage.name: stage for plan in plans for stage in plan.stages}.values():
        state, share = _standing(store, stage)
        seconds, source = 0.0 if state in DONE else None, ""
        if state not in DONE:
            like = _likeness(stage.job)
            if earlier := known.get(like):
                seconds = fmean(per * max(1, stage.job.get("images", 1)) for per in earlier)
                source = f"{len(earlier)} earlier here"
            else:
                if like not in tried:
                    tried[like] = _tried(benchmark, plans, stage)
                seconds, source = tried[like]
            seconds = None if seconds is None else seconds * (1 - share)
        found.append(Forecast(stage, state, share, seconds, source))
    return found


def together(forecasts: Sequence[Forecast], slots: int) -> float:
    """Return the seconds that stages take on so many devices, as the local executor starts them.

    What is not known takes no time.
    """
    waiting, ended = [f for f in forecasts if f.state not in DONE], {f.stage.name for f in forecasts if f.state in DONE}
    now, running = 0.0, list[tuple[float, str, int]]()
    while waiting or running:
        for one in [f for f in waiting if ended.issuperset(f.stage.inputs)]:
            if one.stage.devices <= slots:
                slots -= one.stage.devices
                waiting.remove(one)
                heapq.heappush(running, (now + (one.seconds or 0.0), one.stage.name, one.stage.devices))
        if not running:  # an input came to another end
            break
        now, name, devices = heapq.heappop(running)
        slots += devices
        ended.add(name)
    return now


def _here(benchmark: "Benchmark") -> dict[str, Any]:
    import torch

    return {**machine.describe(torch.device(benchmark.resources.device)), "threads": benchmark.request.threads}


def _likeness(job: Mapping[str, Any]) -> str:
    return json.dumps([job["dataset"]["id"], *(job.get(key) for key in ALIKE)], sort_keys=True)


def _earlier(store: Store, here: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return likeness -> seconds of each such stage that this machine has done, of a training by image of its budget.

    One that learns until it is good enough is taken to end as early again.
    """
    found: dict[str, list[float]] = {}
    for folder in store.stages.glob("*"):
        with contextlib.suppress(Damaged):
            result = result_of(folder)
            if result and result["status"] == "done" and all(result["machine"].get(k) == here[k] for k in here):
                job = config_of(folder)["job"]
                seconds = result["seconds"] if job.get("images") else result["wall_seconds"]
                found.setdefault(_likeness(job), []).append(seconds / max(1, job.get("images", 1)))
    return found


def _standing(store: Store, stage: StagePlan) -> tuple[str, float]:
    """Return a stage's state and the share of its training that is done."""
    folder, result = store.folder(stage.name), store.result(stage.name)
    if result is not None:
        return result["status"], 1.0
    if not folder.exists():
        return "new", 0.0
    log, share = folder / "metrics.jsonl", 0.0
    if (folder / "last.ckpt").exists() and log.exists() and stage.job.get("images"):
        lines = log.read_text(encoding="utf-8").splitlines()
        with contextlib.suppress(ValueError, IndexError):  # it may just be written
            share = min(1.0, json.loads(lines[-1])["images_seen"] / stage.job["images"])
    with store.claim(stage.name) as free:
        if not free:
            return "running", share
    if (folder / "failed.json").exists():
        return "failed", share
    return ("stopped", share) if share else ("new", 0.0)


def _tried(benchmark: "Benchmark", plans: Sequence[RunPlan], stage: StagePlan) -> tuple[float | None, str]:
    """Train for ten steps, in a process of its own; return the seconds of a whole training, or why none are known."""
    from latent_ot.bench.executors.local import without_script, workers

    if stage.job["role"] in SCORING:
        return None, "no earlier one here"
    plan = next(plan for plan in plans if any(one.name == stage.name for one in plan.stages))
    jobs = [one.job for one in plan.stages if one.job["role"] not in SCORING]
    if stage.devices > 1:
        return None, f"no earlier one on {stage.devices} devices here"
    order = replace(benchmark.order(stage, (benchmark.resources.device,)), job={})
    chain = jobs[: [one["role"] for one in jobs].index(stage.job["role"]) + 1]
    context = workers()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(order, chain, theirs), daemon=True)
    with without_script():
        process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return None, "not measured: its process ended (out of memory?)"
    finally:
        process.join()
        ours.close()


def _measure(order: Order, chain: Sequence[Mapping[str, Any]], pipe: Connection) -> None:
    """Measure the last of a chain of jobs, and send what ``_tried`` returns."""
    import logging
    import os
    import warnings

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        logging.disable(logging.ERROR)
        warnings.simplefilter("ignore")
        try:
            pipe.send(_steps(order, chain))
        except Exception as error:
            pipe.send((None, f"not measured: {one_line(str(error))}"))


def _steps(order: Order, chain: Sequence[Mapping[str, Any]]) -> tuple[float | None, str]:
    import torch

    from latent_ot.bench.load import load_stage, make
    from latent_ot.bench.train import Stopped, Watch, train
    from latent_ot.catalog import Catalog
    from latent_ot.datasets.base import load
    from latent_ot.samplers.base import LatentSampler

    machine.be_deterministic()
    machine.limit_threads(chain[-1]["threads"])
    catalog, device = Catalog(order.plugins), torch.device(order.devices[0])
    dataset = load(order.source, order.data_dir, order.subset)
    store, shape, parts = Store(order.store), dataset.shape, []
    rows: Any = dataset.train
    job = chain[-1]
    if job["role"] == "sampler":
        spec = Spec(tuple(shape), len(rows), chain[0]["images"], chain[0]["width"], chain[0]["seed"])
        below = make(catalog, {"job": chain[0], "spec": asdict(spec)})
        shape = (int(below.latent_dim),)  # type: ignore[arg-type]  # a representation has codes
        rows = torch.randn(len(rows), *shape)  # any codes of the size
    elif job["role"] == "refine":
        folders = [store.folder(name) for name in order.inputs]
        if not all(store.result(name) for name in order.inputs):
            raise InputError("what it refines is not trained yet")
        parts = [load_stage(catalog, folder) for folder in folders]
    spec = Spec(tuple(shape), len(rows), job["images"], job["width"], job["seed"])
    stage = make(catalog, {"job": job, "spec": asdict(spec)}, parts)
    if getattr(stage, "closed_form", False):
        return None, "in closed form, no earlier one here"
    if isinstance(stage, LatentSampler) and stage.draws:
        stage.std = torch.ones(rows.shape)
    marks = [time.monotonic()]

    def enough() -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.monotonic())
        return len(marks) > STEPS + 1 or marks[-1] - marks[0] > PATIENCE

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Stopped):
        train(stage, rows, Path(folder), Watch(lambda **_: None, enough, 1e9), device)
    first = 1 if len(marks) > 2 else 0  # what is made ready before the first step is no step
    steps = len(marks) - 1 - first
    return (marks[-1] - marks[first]) / steps * stage.total_steps, f"{steps} measured steps"
