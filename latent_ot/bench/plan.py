"""What to run: methods x seeds on one data set at one budget, expanded into stages that runs share where they agree."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from latent_ot.bench.identity import MadeOf, key_of, made_of, plugin_parts, scoring, small
from latent_ot.bench.judge import check_judge
from latent_ot.budgets import Budget
from latent_ot.catalog import KIND, SCORING, Catalog, Recipe
from latent_ot.datasets.base import Dataset
from latent_ot.errors import Declined, InputError, choose
from latent_ot.record import Protocol

if TYPE_CHECKING:
    from latent_ot.stage import Stage

PART = ("role", "name", "config", "images", "width")  # of a job, what a stage that builds on another must know of it
PLURAL = {"image": "images", "points": "2-D points"}


@dataclass(frozen=True)
class Facts:
    """What a plan must know of a data set; records carry it, so that a plan can be made again without the data.

    ``shape``: of one example, (C, H, W) or (d,). ``train``, ``test``: how many examples. ``origin``: the source's
    version, crop, size and filter, see ``Dataset``.
    """

    id: str
    content_id: str
    shape: tuple[int, ...]
    train: int
    test: int
    origin: Mapping[str, Any]

    @classmethod
    def of(cls, dataset: Dataset) -> "Facts":
        """Return the facts of a data set that is here."""
        count = len(dataset.train), len(dataset.test)
        return cls(dataset.id, dataset.content_id, tuple(dataset.shape), *count, dataset.origin)

    def card(self) -> dict[str, Any]:
        """Return what a record says of the data set beside its id and content."""
        return {"shape": list(self.shape), "train": self.train, "test": self.test, "origin": dict(self.origin)}

    @property
    def kind(self) -> str:
        """What its examples are: "image" or "points"."""
        return "image" if len(self.shape) == 3 else "points"


@dataclass(frozen=True)
class StagePlan:
    """One unit of work. ``job`` is all that a worker needs, and its hash is ``key``; ``name`` is the stage's folder."""

    name: str
    key: str
    label: str
    job: Mapping[str, Any]
    inputs: tuple[str, ...]

    @property
    def part(self) -> str:
        """What the stage is in a record: the method's or sampler's name, or its role if it trains nothing."""
        return self.job["role"] if self.job["role"] in SCORING else self.job["name"]


@dataclass(frozen=True)
class RunPlan:
    """One method, data set, seed and budget; ``declined`` says why the method does not take the data set.

    ``label`` is the row's name: the method's, with the settings that differ from its defaults.
    """

    label: str
    method: str
    paper: str | None
    seed: int
    stages: tuple[StagePlan, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    declined: str | None = None


def protocol(
    dataset: Facts, budget: Budget, evaluator: str | None, checksum: str | None, n: int, repeats: int = 1
) -> Protocol:
    """Name the protocol: the same sample count for every method and for the data row, so no more than are held out.

    Points are scored ``repeats`` times, each time on ``n`` fresh ones.
    """
    n = min(n, dataset.test, dataset.train)
    rebuild = {**budget.reconstruction, "images": min(budget.reconstruction["images"], dataset.test)}
    parts = [f"n{n}x{repeats}"]
    if dataset.kind == "image":
        parts = [f"{evaluator}-{(checksum or '')[:8]}", f"n{n}", f"rec{rebuild['images']}x{rebuild['steps']}"]
    return Protocol(
        id="/".join([dataset.id, *parts]), evaluator=evaluator, checksum=checksum, n=n, reconstruction=rebuild,
        repeats=repeats,
    )  # fmt: skip


class Planner:
    """Expands methods into stages for one data set, budget, protocol and number of threads."""

    def __init__(
        self,
        catalog: Catalog,
        dataset: Facts,
        budget: Budget,
        rules: Callable[[], Protocol],
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        threads: int = 1,
    ) -> None:
        self.catalog, self.dataset, self.budget, self.rules = catalog, dataset, budget, rules
        self.overrides = overrides or {}
        self.threads = threads
        self._built: dict[str, tuple[Stage | None, MadeOf]] = {}  # what was looked at

    def run(self, method: str, seed: int) -> RunPlan:
        """Plan one method at one seed: its training stages and its evaluation.

        Raises:
            InputError: as ``training`` does.
            Refused: if the network that would score it trains it.
        """
        plan = self.training(method, seed)
        if plan.declined:
            return plan
        stages = plan.stages
        if self.dataset.kind == "image":
            for stage in stages:
                if "frozen" in stage.job["made_of"]:
                    check_judge(stage.job, self.catalog, self.rules().evaluator or "", self.rules().checksum)
            stages += (self._reconstruct(seed, decoding(stages)),)
        return replace(plan, stages=(*stages, self._evaluate(method, seed, stages)))

    def training(self, method: str, seed: int) -> RunPlan:
        """Plan the training of one method at one seed.

        Raises:
            InputError: for an unknown method or setting, before anything runs.
        """
        empty = self.named(method, seed)
        try:
            return replace(empty, stages=self._train(self.catalog.recipe(method, self.dataset.kind), seed))
        except Declined as reason:
            return replace(empty, declined=str(reason))

    def named(self, method: str, seed: int) -> RunPlan:
        """Return the plan of a method at a seed without stages: the row's name and the settings that belong to it."""
        recipe = self.catalog.recipe(method, self.dataset.kind)
        used = {part: dict(self.overrides[part]) for part in recipe.parts if part in self.overrides}
        changes = [
            f"{key if part == method else f'{part}.{key}'}={value}"
            for part, values in used.items()
            for key, value in values.items()
        ]
        label = f"{method}[{','.join(changes)}]" if changes else method
        return RunPlan(label, method, recipe.paper, seed, (), used)

    def data_row(self, seed: int) -> RunPlan:
        """Plan the yardstick: held-out real examples scored as if they had been generated."""
        return RunPlan("data", "data", None, seed, (self._evaluate("data", seed, ()),), {})

    def check_overrides(self, methods: Sequence[str]) -> None:
        """Refuse a setting for something that no planned method is made of."""
        parts = {part for method in methods for part in self.catalog.recipe(method, self.dataset.kind).parts}
        for name in self.overrides:
            choose("setting for", name, parts)

    def _train(self, recipe: Recipe, seed: int) -> tuple[StagePlan, ...]:
        stages: list[StagePlan] = []
        built: list[Stage] = []
        for role, name in zip(KIND, recipe.parts, strict=False):
            kind = KIND[role]
            stage = self.catalog.stage(kind, name)
            accepts = getattr(stage, "accepts", ("image",)) if kind == "methods" else (self.dataset.kind,)
            if self.dataset.kind not in accepts:
                taken = " and ".join(PLURAL[a] for a in accepts)
                raise Declined(f"{name} takes {taken}; {self.dataset.id} holds {PLURAL[self.dataset.kind]}")
            chosen = {**recipe.settings.get(name, {}), **self.overrides.get(name, {})}
            usual = stage.defaults(self.dataset.shape, chosen) if kind == "methods" else {}
            config = stage.Config.build({**usual, **self.budget.rates.get(name, {}), **chosen}, where=name)
            example, parts = self._built_small(role, name, config, built)
            built += [example] if example is not None else []
            job = {
                "role": role,
                "name": name,
                "config": config.model_dump(mode="json"),
                "made_of": parts,
                **self._terms(stage, kind, name, example.rows_per_step if example is not None else 1),
            }
            if role == "refine":  # it is built from its parts, and its weights hold theirs
                job["parts"] = [{key: s.job[key] for key in PART} for s in stages]
            stages.append(self._stage(name, seed, job, stages[-1:] if role == "sampler" else stages))
        return tuple(stages)

    def _terms(self, stage: type["Stage"], kind: str, name: str, rows: int) -> dict[str, Any]:
        """Return what the budget gives a stage that draws ``rows`` a step; one in closed form is the same at all."""
        if getattr(stage, "closed_form", False):
            return {"images": 0, "width": 1.0}
        images = self.budget.images if kind == "methods" else self.budget.codes_of(rows)
        return {"images": images, "width": self.budget.width_of(name)}

    def built(self, plan: RunPlan) -> Iterator[tuple[Mapping[str, Any], "Stage"]]:
        """Yield (job, stage) of each stage that trains, untrained but of its full size, to look at.

        Weights are of no seed that a run has.
        """
        from latent_ot.bench.load import make

        shape: tuple[int, ...] = self.dataset.shape
        for one in (stage for stage in plan.stages if stage.job["role"] not in SCORING):
            spec = {"shape": shape, "count": self.dataset.train, "images": one.job["images"], "width": one.job["width"]}
            if one.job["role"] == "refine":
                spec["shape"] = self.dataset.shape
            stage = make(self.catalog, {"job": one.job, "spec": spec})
            shape = (int(getattr(stage, "latent_dim", 0)),)
            yield one.job, stage

    def _built_small(
        self, role: str, name: str, config: Any, before: Sequence["Stage"]
    ) -> tuple["Stage | None", MadeOf]:
        """Return a stage built small, and what it is made of; None for one that only its own code can say is broken."""
        shape = (int(before[0].latent_dim),) if role == "sampler" and before else self.dataset.shape  # type: ignore[arg-type]
        known = f"{role} {name} {shape} {config!r} {[type(stage).__name__ for stage in before]}"
        if known not in self._built:
            try:
                stage = small(self.catalog, role, name, config, shape, before if role == "refine" else ())
                self._built[known] = stage, made_of(stage)
            except Declined:
                raise
            except Exception:
                own = plugin_parts(self.catalog.stage(KIND[role], name))
                if not own:
                    raise
                self._built[known] = None, own  # its row will say what is wrong
        return self._built[known]

    @cached_property
    def _scorers(self) -> dict[tuple[str, bool], MadeOf]:
        both = itertools.product(SCORING, (False, True))
        return {(role, by): scoring(role, self.dataset.kind, self.rules().evaluator, by) for role, by in both}

    def _reconstruct(self, seed: int, trained: StagePlan) -> StagePlan:
        searched = self.catalog.stage("methods", trained.job["name"]).searches()  # type: ignore[attr-defined]
        job = {
            "role": "reconstruct",
            "name": trained.job["name"],
            "made_of": self._scorers["reconstruct", searched],
            "rules": self.rules().reconstruction,
        }
        return self._stage(f"{trained.job['name']}-reconstruct", seed, job, (trained,))

    def _evaluate(self, method: str, seed: int, stages: Sequence[StagePlan]) -> StagePlan:
        job = {
            "role": "evaluate",
            "name": method,
            "made_of": self._scorers["evaluate", False],
            "protocol": self.rules().model_dump(),
        }
        return self._stage(f"{method}-evaluate", seed, job, stages)

    def _stage(self, name: str, seed: int, job: dict[str, Any], inputs: Sequence[StagePlan]) -> StagePlan:
        data = {"id": self.dataset.id, "content": self.dataset.content_id}
        built_on = {s.job["role"]: s.key for s in inputs}
        job |= {"seed": seed, "threads": self.threads, "dataset": data, "inputs": built_on}
        key = key_of(job)
        folder = f"{self.dataset.id}-{name}-{self.budget.name}-s{seed}-{key}"
        return StagePlan(folder, key, f"{name} s{seed}", job, tuple(s.name for s in inputs))


def decoding(stages: Sequence[StagePlan]) -> StagePlan:
    """Return the stage, of those of one method, whose networks make the images."""
    return next(s for s in reversed(stages) if s.job["role"] in ("train", "refine"))


def parse_overrides(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``NAME.KEY=VALUE`` settings, e.g. ``gldo.eps=0.3``.

    Raises:
        InputError: for anything of another form.
    """
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for text in settings:
        target, equals, value = text.partition("=")
        name, dot, key = target.partition(".")
        if not (equals and dot and name and key):
            raise InputError(f"setting '{text}' is not of the form NAME.KEY=VALUE, e.g. gldo.eps=0.3")
        found.setdefault(name, {})[key] = yaml.safe_load(value)
    return found
