"""Search the learning rate of everything that is trained, for budgets smaller than the papers'.

On its paper's data at the budget ``paper`` a method runs at its paper's rate. A shorter training needs a larger one,
and so that no method is tuned more than another, each part that learns by steps (a method trained end to end, a
representation, a refinement, a latent sampler) gets the same search here, and only this:

- 3,200 of mnist5k's 4,000 training digits to train on and the other 800 to choose by; test digits are not touched.
- Half of the images and codes of ``ci`` at the widths of ``ci``, seed 0, one thread.
- Four values: the printed rate times 1, 10^0.5, 10 and 10^1.5. A part with a rate for each of its networks keeps their
  ratio. Auto-decoders have the code table's travel in place of a rate: the printed rate as it is, then a predicted
  travel of 10^-0.5, 1 and 10^0.5 times the codes' starting length; their generators stay at the printed rate.
- The lowest FID of 800 samples against the 800 digits, under the packaged classifier of MNIST, is chosen; a training
  that diverges is a result and loses. A representation is sampled by its default latent sampler. A sampler that learns
  is searched on the representation of the first named pair that has it, and AE-OT-GAN on its autoencoder, once these
  are trained at their chosen rates. ``sdot`` is left out: it solves a convex problem to a stated tolerance.

Of the constants that papers state for long trainings only rates are searched. The others are the same share of a run of
any length, or as printed, and none of them is tuned:

- shares of the budget already: PGGAN's phases and WGAN-QC's and PGGAN's averages of weights, BEGAN's halvings, those of
  the second-stage VAE, SNGAN's linear decay (its residual networks'), RealNVP's and the maps' none.
- a gain that sums small steps: BEGAN's lambda_k, which grows as steps are fewer and is the printed one at 500,000. Of
  this kind, too, is the second-stage VAE's rate of log gamma, which is typed (1e-2 for the release's 1e-4).
- of epochs, as printed: GLANN's halvings.
- of single steps, as printed: Adam's betas, RMSProp's decay, clipping, critic steps, penalties. WGAN's long phases of
  the critic at the start and every 500 steps are of this kind, and some of them fall into a run of any length.

    python benchmarks/sweeps/rates.py --data-dir DIR --store DIR [--methods "dcgan vae2"]

runs what ``rates.json`` beside it does not hold yet, or holds of other code, and may be stopped at any time. Trained
stages stay in the store. Several of these commands may run side by side. With ``--adopt`` nothing is run, and what was
chosen becomes ``benchmarks/rates.yaml``, from which the budgets ``smoke``, ``ci`` and ``short`` take it.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from filelock import FileLock

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.load import load_model
from latent_ot.bench.plan import Planner, RunPlan
from latent_ot.bench.request import Request
from latent_ot.bench.sampling import draw
from latent_ot.bench.train import as_tensor
from latent_ot.budgets import benchmarks, budget
from latent_ot.catalog import Catalog
from latent_ot.datasets import own
from latent_ot.datasets.base import load
from latent_ot.datasets.order import numpy_generator
from latent_ot.errors import InputError, choose
from latent_ot.files import write_atomic, write_json
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import extract
from latent_ot.metrics.fid import Moments, fid
from latent_ot.options import words
from latent_ot.stage import Stage

DATASET, EVALUATOR, SEED, HELD_OUT = "mnist5k", "mnist", 0, 1 / 5
SHARE = 1 / 2
"""Of the images and codes of ``ci``."""
FACTORS = (1.0, 10**0.5, 10.0, 10**1.5)
"""On the printed rate."""
TRAVEL = {"travel": (None, 10**-0.5, 1.0, 10**0.5)}
SEARCHED: Mapping[str, Mapping[str, tuple[float | None, ...]]] = {"glo": TRAVEL, "gldo": TRAVEL}
"""Part -> setting -> values, the printed one first; of any other part its rates, times ``FACTORS``."""
RATES = ("lr", "lr_d")
PRINTED = {"rae_gp": 5e-4, "ot_trans": 1e-3, "ot_gen": 1e-3}
"""Rates of grey images' parts whose setting is none by default, which stands for the printed one."""
SOLVED = ("sdot",)
ENDS = ("done", "diverged")
"""What a run is not tried again after."""


@dataclass(frozen=True)
class Search:
    """What is searched: a ``part`` of ``method``, whose samples are scored, by each of ``values``, the printed first.

    ``before``: parts that are searched earlier, and run at what was chosen for them.
    """

    part: str
    method: str
    before: tuple[str, ...]
    values: tuple[dict[str, float | None], ...]


def values(part: str, stage: type[Stage]) -> tuple[dict[str, float | None], ...]:
    """Return the settings that are tried of a part, to three digits, the printed ones first."""
    if part in SEARCHED:
        found = SEARCHED[part]
    else:
        fields = stage.Config.model_fields
        printed = {name: PRINTED.get(part, fields[name].default) for name in RATES if name in fields}
        found = {name: tuple(rate * factor for factor in FACTORS) for name, rate in printed.items()}
    tried = zip(*found.values(), strict=True)
    return tuple(
        {name: None if v is None else float(f"{v:.3g}") for name, v in zip(found, one, strict=True)} for one in tried
    )


def searches(catalog: Catalog) -> dict[str, Search]:
    """Return every search by its part, in an order in which what one builds on comes before it."""
    learning = {
        name: stage
        for kind in ("methods", "samplers")
        for name in sorted(catalog.files[kind])
        if not (stage := catalog.stage(kind, name)).closed_form and name not in SOLVED  # type: ignore[attr-defined]
    }
    found = {}
    for part, stage in learning.items():
        pair = next((name for name, row in catalog.pairs.items() if row.get("sampler") == part), part)
        recipe = catalog.recipe(pair)
        before = tuple(name for name in recipe.parts[: recipe.parts.index(part)] if name in learning)
        found[part] = Search(part, pair, before, values(part, stage))
    return dict(sorted(found.items(), key=lambda item: len(item[1].before)))


@dataclass(frozen=True)
class Results:
    """The file of all runs. Commands that share it read it anew before they write."""

    path: Path

    def runs(self) -> list[dict[str, Any]]:
        """Return every run, in the file's order."""
        return json.loads(self.path.read_text())["runs"] if self.path.exists() else []

    def add(self, run: dict[str, Any]) -> None:
        """Put a run into the file in the place of what it held of the same part and values."""
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            same = ("part", "settings")
            kept = [other for other in self.runs() if any(other[name] != run[name] for name in same)]
            runs = sorted([*kept, run], key=lambda r: (r["part"], r["place"]))
            head = {"dataset": DATASET, "evaluator": EVALUATOR, "seed": SEED, "share_of_ci": SHARE}
            write_json(self.path, {**head, "chosen": chosen(runs), "runs": runs})


def chosen(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return of each part that has all its runs what was chosen, and its FID beside that of the printed rate.

    ``edge``: the highest value won, so that a still higher one might be better.
    """
    found = {}
    for part in sorted({run["part"] for run in runs}):
        own_runs = [run for run in runs if run["part"] == part]
        done = [run for run in own_runs if run["status"] == "done"]
        if len(own_runs) == len(FACTORS) and done:
            best = min(done, key=lambda run: run["fid"])
            printed = own_runs[0].get("fid")
            edge = best["place"] == len(FACTORS) - 1
            found[part] = {k: best[k] for k in ("settings", "place", "fid")} | {"fid_printed": printed, "edge": edge}
    return found


def adopt(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write what was chosen, where it is not the printed rate, in the place of a file's rates for images."""
    rates = {part: one["settings"] for part, one in found.items() if one["place"]}
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.startswith("#")]
    kept = {**yaml.safe_load(path.read_text()), "image": rates}
    write_atomic(path, ("".join(lines) + yaml.safe_dump(kept, sort_keys=True)).encode())


class Sweep:
    """Trains and scores on the split."""

    def __init__(self, data_dir: Path, store: Path, workers: int) -> None:
        images = np.array(load(DATASET, data_dir).train)
        order = numpy_generator(0, "rates").permutation(len(images))
        held, kept = np.split(images[order], [round(len(images) * HELD_OUT)])
        name = own.keep(kept, held, data_dir)
        request = Request(name, [], [SEED], "ci", data_dir, store, evaluators=[EVALUATOR], gpus=0, workers=workers)
        self.benchmark = Benchmark(request)
        self.held, self.evaluator = as_tensor(held), load_evaluator(EVALUATOR)

    @cached_property
    def real(self) -> Moments:
        """Of the held-out digits."""
        return Moments.of(extract(self.evaluator, self.held).features)

    def plan(self, method: str, settings: Mapping[str, Mapping[str, Any]]) -> RunPlan:
        """Return the stages of a method with settings at a share of ``ci``."""
        bench = self.benchmark
        ci = budget("ci", bench.dataset.id, len(bench.dataset.train))
        half = replace(
            ci, name="half-ci", images=int(ci.images * SHARE), codes=ci.codes and int(ci.codes * SHARE), rates={}
        )
        planner = Planner(bench.catalog, bench.facts, half, lambda: bench.protocols[0], settings)
        return planner.training(method, SEED)

    def run(self, plans: Sequence[RunPlan]) -> Iterator[dict[str, Any]]:
        """Train what is missing of plans and yield how each ended; what failed is tried again by the next command.

        Raises:
            KeyboardInterrupt: if the user stopped it.
        """
        ends = self.benchmark.run(plans)
        for plan in plans:
            broken = [end for stage in plan.stages if (end := ends[stage.name])[0] not in ("done", "reused")]
            if any(status == "stopped" for status, _ in broken):
                raise KeyboardInterrupt
            yield {"status": broken[0][0], "reason": broken[0][1]} if broken else self.score(plan)

    def score(self, plan: RunPlan) -> dict[str, Any]:
        """Return the FID of a trained plan's samples, and the seconds of its training."""
        store = self.benchmark.store
        folders = {stage.job["role"]: store.folder(stage.name) for stage in plan.stages}
        model = load_model(self.benchmark.catalog, folders, torch.device("cpu"))
        fake = extract(self.evaluator, draw(model, len(self.held), SEED))
        seconds = sum((store.result(stage.name) or {})["seconds"] for stage in plan.stages)
        found = fid(self.real, Moments.of(fake.features))
        return {"status": "done", "fid": float(f"{found:.4g}"), "seconds": round(seconds, 1)}


def todo(found: Mapping[str, Search], asked: list[str]) -> Iterator[Search]:
    """Yield the searches that were asked for (none: all), each after what it builds on."""
    for name in asked:
        choose("method", name, found)
    wanted = {part for name in asked or found for part in (name, *found[name].before)}
    yield from (search for part, search in found.items() if part in wanted)


def main() -> None:
    """Run what is missing, one training after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where data sets lie")
    parser.add_argument("--store", type=Path, default=Path("runs/rates"), help="where trained stages are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the file of all runs")
    parser.add_argument("--methods", default="", help="methods and latent samplers; default: all that are trained")
    parser.add_argument("--workers", type=int, default=1, help="trainings at once, of one thread each")
    parser.add_argument("--adopt", action="store_true", help="write what was chosen to benchmarks/rates.yaml")
    args = parser.parse_args()
    if args.adopt:
        adopt(chosen(Results(args.out).runs()), benchmarks() / "rates.yaml")
        return
    torch.set_num_threads(1)
    sweep, results = Sweep(args.data_dir, args.store, args.workers), Results(args.out)
    for search in todo(searches(sweep.benchmark.catalog), words(args.methods)):
        best = chosen(results.runs())
        at = {part: best[part]["settings"] for part in search.before if part in best}
        runs: list[dict[str, Any]] = [
            {"part": search.part, "method": search.method, "place": place, "settings": settings, "on": at}
            for place, settings in enumerate(search.values)
        ]
        plans = [sweep.plan(search.method, {**at, search.part: settings}) for settings in search.values]
        missing = {}
        for run, plan in zip(runs, plans, strict=True):
            run["key"] = plan.stages[-1].key
            if not any(run.items() <= other.items() and other["status"] in ENDS for other in results.runs()):
                missing[run["place"]] = plan
        for place, end in zip(missing, sweep.run([*missing.values()]) if missing else (), strict=True):
            results.add(runs[place] | end)
            print(json.dumps(runs[place] | end), file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
