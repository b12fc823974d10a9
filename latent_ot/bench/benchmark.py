"""A benchmark from end to end: plan, run what is missing, write one record per run into the store."""

import itertools
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from latent_ot.bench import finished, machine
from latent_ot.bench.force import forced
from latent_ot.bench.plan import Facts, Planner, RunPlan, StagePlan, decoding, protocol
from latent_ot.bench.request import Request
from latent_ot.bench.store import Store
from latent_ot.budgets import Budget, budget, settings
from latent_ot.catalog import KIND, SCORING, Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.errors import InputError, Refused, choose
from latent_ot.quantities import foreign
from latent_ot.record import Protocol
from latent_ot.results import add

ALL = "all"
"""In place of methods: every one that takes the data set."""


class Benchmark:
    """Everything between a request and its records."""

    def __init__(self, request: Request) -> None:
        self.catalog = Catalog(request.plugins)
        if request.threads < 1:
            raise InputError(f"threads = {request.threads}; allowed: 1 or more; nearest: 1")
        if min(request.seeds, default=0) < 0:
            raise InputError(f"seed {min(request.seeds)}; allowed: 0 or more; nearest: 0")
        self.dataset: Dataset = load(request.dataset, request.data_dir, request.subset, request.verify)
        self.facts = Facts.of(self.dataset)
        self.budget: Budget = budget(request.budget, self.dataset.id, len(self.dataset.train), self.dataset.kind)
        self.methods = list(request.methods) or settings()["defaults"]["methods"][self.dataset.kind]
        self.swept: set[str] = set()  # what nobody asked for by name
        if ALL in self.methods:
            named = [name for name in self.methods if name != ALL]
            every = self.catalog.methods_for(self.dataset.kind)
            self.methods, self.swept = list(dict.fromkeys([*every, *named])), {*every} - {*named}
        if request.grid is not None:
            self.methods = self._pairs(*request.grid)
        self.request = request = request if request.stop is None else self._stopping(request, request.stop)
        self.gpus = self._gpus()
        self.store = Store(request.store)
        self.planner = self._planner(request.overrides)
        self.planner.check_overrides(self.methods)

    def _stopping(self, request: Request, rule: str) -> Request:
        """Return a request with a stopping rule as a setting of every method that has one."""
        first = {self.catalog.recipe(method, self.dataset.kind).parts[0] for method in self.methods}
        able = [name for name in sorted(first) if "stop" in self.catalog.stage("methods", name).Config.model_fields]
        if not able:
            raise InputError(f"stop '{rule}': none of {', '.join(self.methods)} has a stopping rule; iwgan has one")
        rules = {name: {**request.overrides.get(name, {}), "stop": rule} for name in able}
        return replace(request, stop=None, overrides={**request.overrides, **rules})

    def _planner(self, overrides: Mapping[str, Mapping[str, Any]]) -> Planner:
        return Planner(self.catalog, self.facts, self.budget, lambda: self.rules, overrides, self.request.threads)

    def _pairs(self, representations: Sequence[str], samplers: Sequence[str]) -> list[str]:
        """Return all pairs of the given representations and samplers; empty stands for all."""
        known = {"representation": self.catalog.representations(self.dataset.kind)}
        known["latent sampler"] = self.catalog.sampler_names()
        chosen = [
            [choose(kind, name, known[kind]) for name in names] or known[kind]
            for kind, names in zip(known, (representations, samplers), strict=True)
        ]
        return [self.catalog.pair_name(*pair) for pair in itertools.product(*chosen)]

    @cached_property
    def rules(self) -> Protocol:
        """The protocol under which this benchmark scores; needs the evaluator's weights."""
        from latent_ot.metrics.evaluators.find import load_evaluator

        name = checksum = None
        if self.dataset.kind == "image":
            name = self.request.evaluator or self.dataset.evaluator or "inception"
            checksum = load_evaluator(name, self.request.weights).checksum
        rules, kind = settings()["protocol"], self.dataset.kind
        return protocol(self.facts, self.budget, name, checksum, rules["n"][kind], rules["repeats"][kind])

    def plan(self) -> list[RunPlan]:
        """Return the data row and every method at every seed, in the order in which they should start."""
        runs = [self.planned(method, seed) for seed in self.request.seeds for method in self.methods]
        return [self.planner.data_row(self.request.seeds[0]), *runs]

    def planned(self, method: str, seed: int, planner: Planner | None = None) -> RunPlan:
        """Plan one method at one seed, and see that what is still to be trained can be trained here.

        Raises:
            InputError: as ``Planner.run`` does; of a method that stands for "all" what is refused is a row instead.
        """
        planner = planner or self.planner
        try:
            plan = planner.run(method, seed)
            self._require(plan)
        except Refused as why:
            if method not in self.swept:
                raise
            return replace(planner.named(method, seed), declined=str(why))
        return plan

    def _require(self, plan: RunPlan) -> None:
        """Refuse a plan whose stages lack something on this machine, unless they are done."""
        for one in plan.stages:
            if one.job["role"] not in SCORING and self.store.result(one.name) is None:
                stage = self.catalog.stage(KIND[one.job["role"]], one.job["name"])
                stage.require(stage.Config.build(one.job["config"], where=one.job["name"]))

    def _gpus(self) -> int:
        import torch

        here, wanted = torch.cuda.device_count(), self.request.gpus
        if wanted is not None and not 0 <= wanted <= here:
            raise InputError(f"gpus = {wanted}: this machine has {here}; allowed: 0 to {here}")
        return here if wanted is None else wanted

    def slots(self, stages: int) -> list[str]:
        """Return the device of each worker, for so many stages that can run side by side."""
        if self.gpus:
            return [f"cuda:{i % self.gpus}" for i in range(self.request.workers or self.gpus)]
        most = max(1, machine.cores() // self.request.threads)
        return ["cpu"] * (self.request.workers or max(1, min(most, stages)))

    def _say_idle(self, workers: int, stages: int) -> None:
        """Say in one line what would use the cores that this command leaves idle."""
        cores, threads = machine.cores(), self.request.threads
        if self.gpus or not stages or workers * threads >= cores:
            return
        wanted = cores // workers
        print(
            f"{cores - workers * threads} of {cores} cores stay idle; --threads {wanted} would use "
            f"{wanted * workers} (other results than with {threads}: sums depend on it)",
            file=sys.stderr,
        )

    def run(self, plans: Sequence[RunPlan]) -> dict[str, tuple[str, str | None]]:
        """Run every stage that is missing; return each stage's (status, reason), see ``Local.run``."""
        from latent_ot.bench.display import display
        from latent_ot.bench.executors.local import Local
        from latent_ot.bench.worker import Order

        stages = list({stage.name: stage for plan in plans for stage in plan.stages}.values())
        if self.request.force:
            self.store.discard(forced(plans, self.request.force))
        missing = {s.name for s in stages if self.store.result(s.name) is None}
        side_by_side = sum(any(stage.name in missing for stage in plan.stages) for plan in plans)
        slots = self.slots(side_by_side)
        self._say_idle(len(slots), side_by_side)

        def order(stage: StagePlan, device: str) -> Order:
            r = self.request
            return Order(
                stage.name, stage.job, stage.inputs, r.store, r.data_dir, r.dataset, r.subset,
                tuple(r.plugins), r.weights, device,
            )  # fmt: skip

        show = display(len(stages))
        try:
            return Local(self.store, slots, order).run(stages, show)
        finally:
            show.close()

    def score(self, plans: Sequence[RunPlan]) -> tuple[list[dict[str, Any]], bool]:
        """Run what is missing.

        Returns:
            One record per run that ended, and whether the user stopped the benchmark before all had.
        """
        ends = self.run(plans)
        stopped = any(status == "stopped" for status, _ in ends.values())
        return [record for plan in plans if (record := self.record(plan, ends)) is not None], stopped

    def execute(self) -> tuple[list[dict[str, Any]], bool]:
        """Run the whole benchmark, keep every record in the store, and log it to the tracker if one was asked for.

        Returns:
            The records, and whether the user stopped the benchmark.
        """
        plans = self.plan()
        self.store.check_writable()
        if self.request.track:
            from latent_ot.bench.tracking import check

            check()  # a missing package is said before hours of work, not after
        records, stopped = self.score(plans)
        by_run = {(plan.label, plan.seed): plan for plan in plans}
        made = [by_run[record["method"], record["seed"]] for record in records]
        kept = self.keep(made, records)
        if self.request.track:
            for plan, record in zip(made, records, strict=True):
                self._track(plan, record)
        finished.keep(self.request, self.dataset.content_id, plans, [path.stem for path in kept])
        return records, stopped

    def train_only(self, method: str, seed: int) -> list[Path]:
        """Train one method's stages and return their folders.

        Raises:
            InputError: if a stage did not come to its end, with the reason.
        """
        plan = self.planner.training(method, seed)
        if plan.declined:
            raise InputError(plan.declined)
        self._require(plan)
        self.run([plan])
        for stage in plan.stages:
            if (self.store.result(stage.name) or {}).get("status") != "done":
                raise InputError(f"{stage.label}: not finished; see {self.store.folder(stage.name) / 'log.txt'}")
        return [self.store.folder(stage.name) for stage in plan.stages]

    def _track(self, plan: RunPlan, record: dict[str, Any]) -> None:
        from latent_ot.bench.tracking import track

        picture = self.store.folder(plan.stages[-1].name) / "samples.png" if plan.stages else None
        track(record, picture if picture is not None and picture.exists() else None, self.request.store / "tracking")

    def record(self, plan: RunPlan, ends: Mapping[str, tuple[str, str | None]]) -> dict[str, Any] | None:
        """Assemble one run's record from its stages; None while the run is stopped."""
        rules, results = self.rules, [self.store.result(s.name) or {} for s in plan.stages]
        bad = [ends[s.name] for s in plan.stages if ends[s.name][0] not in ("done", "reused")]
        status, reason = ("declined", plan.declined) if plan.declined else (bad[0] if bad else ("done", None))
        if status == "stopped":
            return None
        trained = [(s, r) for s, r in zip(plan.stages, results, strict=True) if s.job["role"] not in SCORING]
        main = decoding(plan.stages) if plan.stages and trained else None
        drawn = next((r for s, r in trained if s is main), {})
        last = results[-1] if results else {}
        updates: dict[str, int] = {}
        for stage, result in trained:
            for network, count in result.get("updates", {}).items():
                updates[network if network not in updates else f"{stage.job['name']}.{network}"] = count
        makers = [(self.catalog.stage("methods", s.job["name"]), r) for s, r in trained if s.job["role"] != "sampler"]
        named = ((r.get("updates", {}), getattr(stage, "makes_images", ())) for stage, r in makers)
        moved = [counts[network] for counts, networks in named for network in networks if network in counts]
        facts = {key: value for result in results for key, value in result.get("facts", {}).items()}
        loss: dict[str, list[list[float]]] = {}
        for row in drawn.get("curve", []):  # a phase of training may observe values of its own
            for name in row.keys() - {"images_seen"}:
                loss.setdefault(name, []).append([row["images_seen"], row[name]])
        return {
            "schema": 2,
            "status": status,
            "reason": reason,
            "method": plan.label,
            "paper": plan.paper,
            "stages": [{"stage": s.part, "key": s.key, "made_of": s.job["made_of"]} for s in plan.stages],
            "dataset": self.dataset.id,
            "dataset_content": self.dataset.content_id,
            "data": self.facts.card(),
            "seed": plan.seed,
            "threads": self.request.threads,
            "budget": self.budget.name,
            "images_budget": self.budget.images,
            "codes_budget": self.budget.codes,
            "sampler_steps": self.budget.sampler_steps,
            "width": main.job["width"] if main else self.budget.width,
            "overrides": {name: dict(values) for name, values in plan.overrides.items()},
            "config": {s.job["name"]: s.job["config"] for s, _ in trained},
            "metrics": last.get("metrics", {}),
            "quantities": foreign(last.get("metrics", {})),
            "reasons": last.get("reasons", {}),
            "facts": facts,
            "curves": {**last.get("curves", {}), "loss": loss},
            "protocol": rules.model_dump(),
            "images_seen": drawn.get("images_seen", 0),
            "updates": updates,
            "generator_updates": sum(moved) if moved else None,
            "parameters": sum(r.get("parameters", 0) for s, r in trained if s is main or s.job["role"] == "sampler"),
            "seconds": round(sum(r.get("seconds", 0.0) for _, r in trained), 1),
            "peak_memory_mb": max((r.get("peak_memory_mb", 0) for r in results), default=0),
            "machine": last.get("machine", {}),
            "versions": last.get("versions", machine.versions()),
            "commit": last.get("commit"),
            "command": self.request.command(plan.method, plan.seed),
        }  # fmt: skip

    def keep(self, plans: Sequence[RunPlan], records: Sequence[Mapping[str, Any]]) -> list[Path]:
        """Write records, and beside them the pictures that may be shown, into the store's ``results``.

        Returns:
            The records' files.
        """
        paths = add(self.store.root, records)
        for plan, path in zip(plans, paths, strict=True):
            for stage in plan.stages if self.dataset.shareable else ():
                for picture in self.store.folder(stage.name).glob("*.png"):
                    shutil.copyfile(picture, path.with_name(f"{path.stem}.{picture.name}"))
        return paths
