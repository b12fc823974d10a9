"""What to run: methods x seeds on one data set at one budget, expanded into stages that runs share where they agree."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from latent_ot.bench.identity import SMALL, MadeOf, key_of, made_of, plugin_parts, scoring, small
from latent_ot.bench.judge import check_judge
from latent_ot.bench.settings import check_memory, check_size
from latent_ot.budgets import Budget
from latent_ot.catalog import KIND, SCORING, Catalog, Recipe
from latent_ot.datasets.base import Dataset
from latent_ot.discovery import broken
from latent_ot.errors import ContractError, Declined, InputError, choose
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

    @property
    def devices(self) -> int:
        """How many devices it takes."""
        return self.job.get("devices", 1)


@dataclass(frozen=True)
class RunPlan:
    """One method, data set, seed and budget; ``declined`` says why the method does not take the data set.

    ``label`` is the row's name: the method's, with the settings that differ from its defaults. ``rules``: the protocol
    that it is scored under; None of one that is only trained.
    """

    label: str
    method: str
    paper: str | None
    seed: int
    stages: tuple[StagePlan, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    declined: str | None = None
    rules: Protocol | None = None


def protocol(
    dataset: Facts, budget: Budget, evaluator: str | None, checksum: str | None, n: int, repeats: int = 1
) -> Protocol:
    """Name the protocol: the same sample count for every method and for the data row, so no more than are held out.

    Points are scored ``repeats`` times, each time on ``n`` fresh ones.
    """
    from latent_ot.metrics.evaluators.find import evaluator_class

    n = min(n, dataset.test, dataset.train)
    resize = evaluator_class(evaluator).resize(evaluator) if evaluator else None
    rebuild = {**budget.reconstruction, "images": min(budget.reconstruction["images"], dataset.test)}
    parts = [f"n{n}x{repeats}"]
    if dataset.kind == "image":
        parts = [f"{evaluator}-{(checksum or '')[:8]}", f"n{n}", f"rec{rebuild['images']}x{rebuild['steps']}"]
    return Protocol(
        id="/".join([dataset.id, *parts]), evaluator=evaluator, checksum=checksum, n=n, reconstruction=rebuild,
        repeats=repeats, resize=resize,
    )  # fmt: skip


class Planner:
    """Expands methods into stages for one data set, budget, protocol and number of threads and devices."""

    def __init__(
        self,
        catalog: Catalog,
        dataset: Facts,
        budget: Budget,
        rules: Callable[[], Protocol],
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        threads: int = 1,
        devices: int = 1,
    ) -> None:
        self.catalog, self.dataset, self.budget, self.rules = catalog, dataset, budget, rules
        self.overrides = overrides or {}
        self.threads, self.devices = threads, devices
        self.own: list[tuple[Any, ...]] = []
        """Role, name, settings and shape of examples of the stages of a user's own that were looked at."""
        self._built: dict[str, tuple[Stage | None, MadeOf]] = {}  # what was looked at

    def under(self, rules: Protocol) -> "Planner":
        """Return the planner of the same stages, and of their evaluation under another protocol."""
        other = copy(self)
        other.rules = lambda: rules
        other.__dict__.pop("_scorers", None)
        return other

    def run(self, method: str, seed: int) -> RunPlan:
        """Plan one method at one seed: its training stages and its evaluation.

        Raises:
            InputError: as ``training`` does.
            Refused: if the network that would score it trains it.
        """
        plan = self.training(method, seed)
        if plan.declined:
            return replace(plan, rules=self.rules())
        stages = plan.stages
        if self.dataset.kind == "image":
            for stage in stages:
                if "frozen" in stage.job["made_of"]:
                    check_judge(stage.job, self.catalog, self.rules().evaluator or "", self.rules().checksum)
            stages += (self._reconstruct(seed, decoding(stages)),)
        return replace(plan, stages=(*stages, self._evaluate(method, seed, stages)), rules=self.rules())

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
        found = self.changed(method)
        used = {part: found[part] for part in recipe.parts if part in found}
        changes = [
            f"{key if part == method else f'{part}.{key}'}={value}"
            for part, values in used.items()
            for key, value in values.items()
        ]
        label = f"{method}[{','.join(changes)}]" if changes else method
        return RunPlan(label, method, recipe.paper, seed, (), used)

    def changed(self, method: str) -> dict[str, dict[str, Any]]:
        """Return what the overrides change of a method, part -> key -> value, parts that nothing changes left out.

        One setting has one name: values are as its configuration writes them, in order of the keys, and what would be
        so anyway, on these data, at this budget and under this name, is no change. What cannot be built is left as it
        was given: planning it says what is wrong.
        """
        recipe = self.catalog.recipe(method, self.dataset.kind)
        kinds = dict(zip(recipe.parts, KIND.values(), strict=False))
        found = {
            part: self._changed(kinds[part], part, recipe.settings.get(part, {}), given)
            if part in kinds
            else dict(given)
            for part, given in self.overrides.items()
        }
        return {part: given for part, given in found.items() if given}

    def _changed(self, kind: str, part: str, fixed: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            whole = self._config(kind, part, {**fixed, **given})
            kept = {key: given[key] for key in sorted(given)}
            for key in sorted(given):
                fewer = {name: value for name, value in kept.items() if name != key}
                kept = fewer if self._config(kind, part, {**fixed, **fewer}) == whole else kept
        except (Declined, InputError):
            return dict(given)
        return {key: _short(whole.model_dump(mode="json").get(key, getattr(whole, key))) for key in kept}

    def _config(self, kind: str, name: str, chosen: Mapping[str, Any]) -> Any:
        """Return the settings of a part, of which some are chosen, on these data and at this budget."""
        stage = self.catalog.stage(kind, name)
        usual = stage.defaults(self.dataset.shape, chosen) if kind == "methods" else {}
        return stage.Config.build({**usual, **self.budget.rates.get(name, {}), **chosen}, where=name)

    def data_row(self, seed: int) -> RunPlan:
        """Plan the yardstick: held-out real examples scored as if they had been generated."""
        return RunPlan("data", "data", None, seed, (self._evaluate("data", seed, ()),), {}, rules=self.rules())

    def check_overrides(self, methods: Sequence[str]) -> None:
        """Refuse a setting for something that no planned method is made of."""
        parts = {part for method in methods for part in self.catalog.recipe(method, self.dataset.kind).parts}
        for name in self.overrides:
            choose("setting for", name, parts)

    def _train(self, recipe: Recipe, seed: int) -> tuple[StagePlan, ...]:
        stages: list[StagePlan] = []
        built: list[Stage] = []
        own = any(name in self.overrides for name in recipe.parts)  # a user's settings may be too large for anything
        for role, name in zip(KIND, recipe.parts, strict=False):
            kind = KIND[role]
            stage = self.catalog.stage(kind, name)
            accepts = getattr(stage, "accepts", ("image",)) if kind == "methods" else (self.dataset.kind,)
            if self.dataset.kind not in accepts:
                taken = " and ".join(PLURAL[a] for a in accepts)
                raise Declined(f"{name} takes {taken}; {self.dataset.id} holds {PLURAL[self.dataset.kind]}")
            if self.dataset.train < stage.needs:
                few = f"{self.dataset.id} has {self.dataset.train} to train on"
                raise Declined(f"{name} needs {stage.needs} training examples or more; {few}")
            changed = self.overrides.get(name, {})
            config = self._config(kind, name, {**recipe.settings.get(name, {}), **changed})
            if own:
                check_size(name, config, changed, stage.limits(self._shape(role, built), self.dataset.train))
                check_memory(name, partial(self._at_full_size, role, name, config, built))
            example, parts = self._built_small(role, name, config, built)
            built += [example] if example is not None else []
            rows = example.rows_per_step if example is not None else 1
            terms = self._terms(stage, kind, name, rows) | self._divided(stage, name, config)
            if changed and 0 < terms["images"] < rows:
                what = (
                    f"{name}: one step draws {rows:,} examples with {', '.join(f'{k} = {changed[k]}' for k in changed)}"
                )
                raise InputError(f"{what}; allowed: at most the budget's {terms['images']:,}")
            job = {
                "role": role,
                "name": name,
                "config": config.model_dump(mode="json"),
                "made_of": parts,
                **terms,
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

    def _divided(self, stage: type["Stage"], name: str, config: Any) -> dict[str, int]:
        """Return how many devices train a stage; nothing where one does, as has always been so.

        Raises:
            InputError: if its batches cannot be divided among them, with what can.
        """
        batches = stage.batches(config)
        if self.devices == 1 or batches is None:
            return {}
        for setting, rows in batches.items():
            if rows % self.devices:
                able = [n for n in range(1, self.devices) if not any(count % n for count in batches.values())]
                allowed = f"a multiple of them, or {', '.join(map(str, able))} devices"
                raise InputError(
                    f"{name}: {setting} = {rows} on {self.devices} devices a run; allowed: {allowed}; "
                    f"nearest: --devices-per-run {able[-1]}"
                )
        return {"devices": self.devices}

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

    def _at_full_size(self, role: str, name: str, config: Any, before: Sequence["Stage"]) -> "Stage":
        spec = {**SMALL, "count": self.dataset.train, "width": self.budget.width_of(name)}
        parts = before if role == "refine" else ()
        return small(self.catalog, role, name, config, self._shape(role, before), parts, spec)

    def _shape(self, role: str, before: Sequence["Stage"]) -> tuple[int, ...]:
        """Return the shape of the examples that a stage trains on."""
        if role != "sampler" or not before:
            return self.dataset.shape
        if not isinstance(dim := getattr(before[0], "latent_dim", None), int):
            raise broken(type(before[0]), f"latent_dim = {dim!r}; allowed: the length of its codes, set in __init__")
        return (dim,)

    def _built_small(
        self, role: str, name: str, config: Any, before: Sequence["Stage"]
    ) -> tuple["Stage | None", MadeOf]:
        """Return a stage built small, and what it is made of; None for one that only its own code can say is broken."""
        shape = self._shape(role, before)
        known = f"{role} {name} {shape} {config!r} {[type(stage).__name__ for stage in before]}"
        if known not in self._built:
            try:
                stage = small(self.catalog, role, name, config, shape, before if role == "refine" else ())
                self._built[known] = stage, made_of(stage)
                if plugin_parts(type(stage)) and role != "refine":  # which needs a trained pair
                    self.own.append((role, name, config.model_dump(mode="json"), tuple(shape)))
            except (Declined, ContractError):
                raise
            except Exception as error:
                own = plugin_parts(self.catalog.stage(KIND[role], name))
                if not own and self.overrides:
                    raise InputError(f"{name} cannot be built with these settings: {error}") from error
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


def _short(value: Any) -> Any:
    """Return a whole number without a point, as most people write it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def decoding(stages: Sequence[StagePlan]) -> StagePlan:
    """Return the stage, of those of one method, whose networks make the images."""
    return next(s for s in reversed(stages) if s.job["role"] in ("train", "refine"))
