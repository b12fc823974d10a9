"""A benchmark from end to end: plan, run what is missing, write one record per run into the store."""

import itertools
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_ot.bench import finished, machine
from latent_ot.bench.drawn import place
from latent_ot.bench.force import forced
from latent_ot.bench.plan import Facts, Planner, RunPlan, StagePlan, decoding, protocol
from latent_ot.bench.request import Request
from latent_ot.bench.resources import Resources
from latent_ot.bench.store import Store
from latent_ot.bench.tracking import Tracking, cards
from latent_ot.budgets import Budget, budget, settings
from latent_ot.catalog import KIND, SCORING, Catalog
from latent_ot.datasets.base import Dataset, load
from latent_ot.errors import InputError, Refused, RunFailed, choose
from latent_ot.files import read_json, write_atomic
from latent_ot.interrupts import heeded, until
from latent_ot.quantities import foreign
from latent_ot.record import Protocol, Record, checked
from latent_ot.results import add

if TYPE_CHECKING:
    from latent_ot.bench.executors.base import Devices
    from latent_ot.bench.worker import Order

ALL = "all"
"""In place of methods: every one that takes the data set."""


def check_end(store: Store, stage: StagePlan) -> None:
    """Say of a stage that diverged or failed that it did, at what, and where more stands.

    Raises:
        RunFailed: if it did.
    """
    folder = store.folder(stage.name)
    status, failed = store.result(stage.name) or {}, folder / "failed.json"
    if status.get("status") == "diverged":
        raise RunFailed(f"{stage.label} diverged: {status['reason']}; --force {stage.part} trains it again")
    if not status and failed.exists():
        why = read_json(failed, "why a stage failed", f"run it again, or see {folder / 'log.txt'}")["reason"]
        raise RunFailed(f"{stage.label} failed: {why}; see {folder / 'log.txt'}")


class Benchmark:
    """Everything between a request and its records."""

    def __init__(self, request: Request, tracking: Tracking | None = None) -> None:
        self.tracking = tracking or Tracking((), request.store)
        self.catalog = Catalog(request.plugins)
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
        self.stopped = False  # by the user, though nothing may have been left to do
        self.judged = bool(request.evaluators)  # by those that were asked for
        self.resources = Resources(request)
        request = request if request.stop is None else self._stopping(request, request.stop)
        request = request if request.precision == "float32" else self._in_precision(request)
        self.request = request = request.resolved(self.dataset)
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

    def _in_precision(self, request: Request) -> Request:
        """Return a request with its precision as a setting of every part that has one, unless it is given its own."""
        parts = {part for method in self.methods for part in self.catalog.recipe(method, self.dataset.kind).parts}
        named = sorted(parts & {*self.catalog.files["methods"]})
        able = [name for name in named if "precision" in self.catalog.stage("methods", name).Config.model_fields]
        if not able:
            raise InputError(f"precision '{request.precision}': none of {', '.join(self.methods)} is trained by steps")
        chosen = {name: {"precision": request.precision, **request.overrides.get(name, {})} for name in able}
        return replace(request, precision="float32", overrides={**request.overrides, **chosen})

    def _planner(self, overrides: Mapping[str, Mapping[str, Any]]) -> Planner:
        shared_by = self.request.threads, self.request.devices_per_run
        return Planner(self.catalog, self.facts, self.budget, self._rules, overrides, *shared_by)

    def _rules(self) -> Protocol:
        return self.protocols[0]

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
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols under which this benchmark scores, one for each evaluator; needs the evaluators' weights."""
        from latent_ot.metrics.evaluators.find import load_evaluator

        kind = self.dataset.kind
        n, repeats = (settings()["protocol"][key][kind] for key in ("n", "repeats"))
        if kind == "points":
            return (protocol(self.facts, self.budget, None, None, n, repeats),)
        files = self.request.weights
        made = [(name, load_evaluator(name, files.get(name)).checksum) for name in self.request.evaluators]
        return tuple(protocol(self.facts, self.budget, *one, n, repeats) for one in made)

    def plan(self) -> list[RunPlan]:
        """Return the data row and every method at every seed, in the order in which they should start.

        Each under every protocol: such runs share all stages but the last.
        """
        both = itertools.product(self.request.seeds, self.methods, self.each(self.planner))
        return [*self.data_rows(), *(self.planned(method, seed, planner) for seed, method, planner in both)]

    def each(self, planner: Planner) -> list[Planner]:
        """Return a planner for each of the protocols."""
        return [planner.under(rules) for rules in self.protocols]

    def data_rows(self) -> list[RunPlan]:
        """Return the data row under every protocol."""
        return [planner.data_row(self.request.seeds[0]) for planner in self.each(self.planner)]

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
            return replace(planner.named(method, seed), declined=str(why), rules=planner.rules())
        return plan

    def _require(self, plan: RunPlan) -> None:
        """Refuse a plan whose stages lack something on this machine, unless they are done."""
        for one in plan.stages:
            if one.job["role"] not in SCORING and self.store.result(one.name) is None:
                stage = self.catalog.stage(KIND[one.job["role"]], one.job["name"])
                stage.require(stage.Config.build(one.job["config"], where=one.job["name"]))
                if self.planner.own:
                    self._rehearse()

    def _rehearse(self) -> None:
        """Refuse a user's own stages that break a rule, each once, before anything trains."""
        from latent_ot.bench.rehearsal import Part, refuse_broken

        parts, self.planner.own = [Part(*one) for one in self.planner.own], []
        refuse_broken(parts, [Path(path) for path in self.request.plugins])

    def run(self, plans: Sequence[RunPlan]) -> dict[str, tuple[str, str | None]]:
        """Run every stage that is missing; return each stage's (status, reason), see ``Local.run``."""
        from latent_ot.bench.display import display

        self.store.check_writable()
        stages = list({stage.name: stage for plan in plans for stage in plan.stages}.values())
        if self.request.force:
            self.store.discard(forced(plans, self.request.force))
        missing = {s.name: s for s in stages if self.store.result(s.name, verify=True) is None}
        shared = self._shared(missing.values())
        side_by_side = sum(any(stage.name in missing for stage in plan.stages) for plan in plans)

        def order(stage: StagePlan, devices: "Devices") -> "Order":
            return self.order(stage, devices, shared.get(stage.name))

        executor = self.resources.executor(self.store, order, missing.values(), side_by_side)
        if self.tracking.kinds:
            self._track(plans)
        with heeded() as wish, until(self.request.deadline, wish):
            show = self.tracking.beside(display(len(stages)), partial(self._scored, plans))
            try:
                ends = executor.run(stages, show)
            finally:
                self.resources.close()
                show.close()
                self.stopped = wish.level > 0
                for folder in {*shared.values()}:
                    shutil.rmtree(folder, ignore_errors=True)
        if left := sum(status == "busy" for status, _ in ends.values()):
            print(f"{left} of {len(stages)} stages are left to other commands that work on them", file=sys.stderr)
        for stage in stages:
            if ends[stage.name][0] == "done":
                for note in (self.store.result(stage.name) or {}).get("notes", ()):
                    print(f"{stage.label}: {note}", file=sys.stderr)
        return ends

    def order(self, stage: StagePlan, devices: "Devices", drawn: Path | None = None) -> "Order":
        """Return what a worker is told to do, on as many devices as the stage takes."""
        from latent_ot.bench.worker import Order

        r = self.request
        return Order(
            stage.name, stage.job, stage.inputs, r.store, r.data_dir, r.dataset, r.subset,
            tuple(r.plugins), r.weights.get(stage.job.get("protocol", {}).get("evaluator")), devices, drawn=drawn,
        )  # fmt: skip

    def _track(self, plans: Sequence[RunPlan]) -> None:
        """Let dashboards follow the stages of plans, and draw from them."""
        from latent_ot.bench.grids import Grids

        r = self.request
        grids = Grids(r.store / "tracking" / "grids", r.dataset, r.data_dir, r.subset, tuple(r.plugins))
        self.tracking.begin(cards(plans, self.dataset.id, self.budget.name), grids)

    def _scored(self, plans: Sequence[RunPlan], name: str) -> Iterator[Record]:
        """Yield the record of a run whose last stage just ended well."""
        for plan in plans:
            if plan.rules is not None and plan.stages and plan.stages[-1].name == name:
                record = self.record(plan, {stage.name: ("done", None) for stage in plan.stages})
                assert record is not None
                yield checked(record)

    def _shared(self, stages: Iterable[StagePlan]) -> dict[str, Path]:
        """Return where stages that score the same run under several protocols find what is drawn of it, by name."""
        scored = [stage for stage in stages if stage.job["role"] == "evaluate" and stage.inputs]
        places = {stage.name: place(self.store.cache, stage.job, self.resources.scoring) for stage in scored}
        counts = Counter(places.values())
        return {name: folder for name, folder in places.items() if counts[folder] > 1}

    def score(self, plans: Sequence[RunPlan]) -> tuple[list[dict[str, Any]], bool]:
        """Run what is missing.

        Returns:
            One record per run that ended, and whether the user stopped the benchmark before all had.
        """
        ends = self.run(plans)
        self.stopped = self.stopped or any(status == "stopped" for status, _ in ends.values())
        return [record for plan in plans if (record := self.record(plan, ends)) is not None], self.stopped

    def execute(self) -> tuple[list[dict[str, Any]], bool]:
        """Run the whole benchmark and keep every record in the store.

        Returns:
            The records, and whether the user stopped the benchmark.
        """
        plans = self.plan()
        records, stopped = self.score(plans)
        by_run = {(plan.label, plan.seed, plan.rules and plan.rules.id): plan for plan in plans}
        made = [by_run[record["method"], record["seed"], record["protocol"]["id"]] for record in records]
        kept = self.keep(made, records)
        self.tracking.owe(path.stem for path in kept)
        finished.keep(self.request, self.dataset.content_id, plans, [path.stem for path in kept])
        return records, stopped

    def train_only(self, method: str, seed: int) -> list[Path]:
        """Train one method's stages and return the folders of those that are done; others may be left to others.

        Raises:
            InputError: if the method cannot be trained here, with the reason.
            RunFailed: if a stage did not come to its end, with the reason.
            KeyboardInterrupt: if the user stopped it.
        """
        plan = self.planner.training(method, seed)
        if plan.declined:
            raise InputError(plan.declined)
        for planner in self.each(self.planner) if self.judged else ():
            planner.run(method, seed)  # what is to score it may not train it
        self._require(plan)
        ends = self.run([plan])
        if self.stopped or any(status == "stopped" for status, _ in ends.values()):
            raise KeyboardInterrupt("stopped; the same call goes on from here")
        for stage in plan.stages:
            status, reason = ends[stage.name]
            if status not in ("done", "reused", "busy"):
                log = self.store.folder(stage.name) / "log.txt"
                raise RunFailed(f"{stage.label}: {status}: {reason}" + (f"; see {log}" if log.exists() else ""))
        return [self.store.folder(stage.name) for stage in plan.stages if ends[stage.name][0] != "busy"]

    def record(self, plan: RunPlan, ends: Mapping[str, tuple[str, str | None]]) -> dict[str, Any] | None:
        """Assemble one run's record from its stages; None while the run is stopped."""
        assert plan.rules is not None
        results = [self.store.result(s.name) or {} for s in plan.stages]
        bad = [ends[s.name] for s in plan.stages if ends[s.name][0] not in ("done", "reused")]
        status, reason = ("declined", plan.declined) if plan.declined else (bad[0] if bad else ("done", None))
        if status in ("stopped", "busy"):
            return None
        trained = [(s, r) for s, r in zip(plan.stages, results, strict=True) if s.job["role"] not in SCORING]
        main = decoding(plan.stages) if plan.stages and trained else None
        drawn = next((r for s, r in trained if s is main), {})
        last = results[-1] if results else {}
        made_on, owns = machine.apart([r.get("machine", {}) for r in results])
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
            "stages": [
                {"stage": s.part, "key": s.key, "made_of": s.job["made_of"], "machine": own}
                for s, own in zip(plan.stages, owns, strict=True)
            ],
            "dataset": self.dataset.id,
            "dataset_content": self.dataset.content_id,
            "data": self.facts.card(),
            "seed": plan.seed,
            "threads": self.request.threads,
            "devices": self.request.devices_per_run,
            "budget": self.budget.name,
            "images_budget": self.budget.images,
            "codes_budget": self.budget.codes,
            "sampler_steps": self.budget.sampler_steps,
            "width": main.job["width"] if main else self.budget.width,
            "overrides": {name: dict(values) for name, values in plan.overrides.items()},
            "config": {s.job["name"]: s.job["config"] for s, _ in trained},
            "metrics": last.get("metrics", {}),
            "intervals": last.get("intervals", {}),
            "yardsticks": last.get("yardsticks", {}),
            "quantities": foreign(last.get("metrics", {})),
            "reasons": last.get("reasons", {}),
            "facts": facts,
            "curves": {**last.get("curves", {}), "loss": loss},
            "protocol": plan.rules.model_dump(),
            "images_seen": drawn.get("images_seen", 0),
            "updates": updates,
            "generator_updates": sum(moved) if moved else None,
            "parameters": sum(r.get("parameters", 0) for s, r in trained if s is main or s.job["role"] == "sampler"),
            "seconds": round(sum(r.get("seconds", 0.0) for _, r in trained), 1),
            "peak_memory_mb": max((r.get("peak_memory_mb", 0) for r in results), default=0),
            "machine": made_on,
            "versions": last.get("versions", machine.versions()),
            "commit": last.get("commit"),
            "command": self.command(plan),
        }  # fmt: skip

    def command(self, plan: RunPlan, **changes: Any) -> str:
        """Return the command that makes one run's record again; ``changes``: of what was asked for."""
        name = (plan.rules and plan.rules.evaluator) or ""
        asked = replace(self.request, **changes)
        return asked.command(plan.method, plan.seed, "" if name == self.dataset.evaluator else name)

    def keep(self, plans: Sequence[RunPlan], records: Sequence[Mapping[str, Any]]) -> list[Path]:
        """Write records, and beside them the pictures that may be shown, into the store's ``results``.

        Returns:
            The records' files.
        """
        paths = add(self.store.root, records)
        for plan, path in zip(plans, paths, strict=True):
            for stage in plan.stages if self.dataset.shareable else ():
                for picture in self.store.folder(stage.name).glob("*.png"):
                    write_atomic(path.with_name(f"{path.stem}.{picture.name}"), picture.read_bytes())
        return paths
