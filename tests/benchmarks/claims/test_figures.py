"""Every figure that a claim reads is made: some part of its rows' methods gives it, and a smoke run's record has it."""

import ast
import inspect
import textwrap

import pytest

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.catalog import KIND, Catalog
from latent_ot.claims import claims, follow, look_up
from latent_ot.discovery import literals
from latent_ot.record import COSTS, DATA, checked

CATALOG = Catalog()
MEASURED = {key for _, stated in literals("metrics", "quantities") for key in stated}
FOLLOWED = {"fid", "modes", "high_quality"}  # at snapshots, by the evaluation
READ = [(c.id, c.rule, key) for c in claims() for key in c.rule.curves or c.rule.figures or (c.rule.metric,) if key]


def stages(method):
    """Return the classes that a method is made of, with those that they inherit from."""
    parts = zip(KIND, CATALOG.recipe(method).parts, strict=False)
    every = (base for role, part in parts for base in CATALOG.stage(KIND[role], part).__mro__)
    return [base for base in every if base.__module__.startswith("latent_ot.")]


def calls(cls, *names):
    """Return the keywords of calls of methods with these names in a class's source."""
    nodes = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls))))
    found = (n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in names)
    return {keyword.arg for call in found for keyword in call.keywords}


def facts(cls):
    """Return the keys of the dictionaries that a class's ``facts`` forms."""
    own = vars(cls).get("facts")
    tree = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(own)))) if own else ()
    return {key.value for n in tree if isinstance(n, ast.Dict) for key in n.keys if isinstance(key, ast.Constant)}


def makes(method, key, curve):
    """Whether a run of a method has a figure, or follows a curve."""
    if curve and not key.startswith("loss."):
        return key in FOLLOWED
    if key.startswith("loss."):
        return any(key.removeprefix("loss.") in calls(cls, "observe", "follow") for cls in stages(method))
    return key in MEASURED or key in COSTS or any(key in facts(cls) for cls in stages(method))


def missing(read):
    """Return what no run of a claim's methods makes."""
    rows = ((id, rule, key, {row.method for rows in rule.rows for row in rows} - {DATA}) for id, rule, key in read)
    return [(id, key, m) for id, rule, key, methods in rows for m in methods if not makes(m, key, bool(rule.curves))]


def test_every_figure_that_a_claim_reads_is_made_by_every_method_that_it_names():
    assert missing(READ) == []


@pytest.mark.parametrize("key", ["code_mean_errors", "sharpnes", "loss.discriminators", "kl_nat"])
def test_a_figure_that_nothing_makes_is_found_out(key):
    id, rule, _ = next(read for read in READ if read[2] == "sharpness")
    assert len(missing([(id, rule, key)])) == 5


SMOKE = {
    "mnist5k": ["gldo", "dcgan", "vaegan", "sdkl", "iwgan", "ae_ot_gan", "ae_ot_trans", "ae_ot_gen"],
    "grid25": ["iwgan", "wgan_gp", "ae_ot_trans"],
}
"""The fewest methods whose runs have every figure between them."""


@pytest.mark.slow
def test_smoke_runs_have_every_figure_that_a_claim_reads(tmp_path):
    runs = []
    for dataset, methods in SMOKE.items():
        request = Request(dataset, methods, [0], "smoke", tmp_path / "data", tmp_path / "runs", gpus=0)
        runs += map(checked, Benchmark(request).execute()[0])
    lacking = [
        (id, key) for id, rule, key in READ
        if not any(
            (follow if rule.curves else look_up)(run, key) is not None
            for run in runs
            if any(run.method == row.method for rows in rule.rows for row in rows)
        )
    ]  # fmt: skip
    assert lacking == []
