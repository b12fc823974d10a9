"""How tests make plans: for a data set that is only stated, at a small budget."""

from dataclasses import replace

from latent_ot.bench.plan import Facts, Planner, protocol
from latent_ot.budgets import Budget
from latent_ot.catalog import Catalog

BUDGET = Budget("smoke", 640, 1280, 0.25, {"images": 8, "steps": 5})


def dataset(kind="image", **changes) -> Facts:
    shape = (1, 32, 32) if kind == "image" else (2,)
    return replace(Facts("toyset", "0" * 12, shape, 100, 20, {}), **changes)


def planner(data=None, overrides=None, budget=BUDGET, threads=1, plugins=(), devices=1) -> Planner:
    data = data or dataset()
    evaluator = ("digits", "abcdef0123456789") if data.kind == "image" else (None, None)
    rules = protocol(data, budget, *evaluator, 1000)
    return Planner(Catalog(plugins), data, budget, lambda: rules, overrides, threads, devices)


def keys(plan):
    return [stage.key for stage in plan.stages]
