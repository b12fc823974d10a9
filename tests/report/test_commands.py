"""The commands that the claims page prints can settle the claims: they parse, and plan the records that are read."""

import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer

from latent_ot.bench.plan import Facts, Planner, protocol
from latent_ot.budgets import benchmarks, budget
from latent_ot.catalog import Catalog
from latent_ot.claims import claims
from latent_ot.cli import app
from latent_ot.datasets.base import find
from latent_ot.errors import InputError
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.options import Options
from latent_ot.published import published_sets
from latent_ot.quantities import QUANTITIES
from latent_ot.report.verdicts import commands, judge
from latent_ot.results import load

BENCH = typer.main.get_command(app).commands["bench"]
SIDES = {"mnist": (1, 32), "fashion_mnist": (1, 32), "cifar10": (3, 32), "celeba_hq256": (3, 256)}
BUILT = {}  # what planners looked at, so that it is built once for all of them
PUBLISHED = benchmarks().parent / "leaderboards"


@cache
def asked(everything=False):
    """Command -> the (claim, row) pairs that it is printed for, of nothing run, or of what is published, too."""
    found = {}
    for records in [[], *([load(PUBLISHED)] if everything else [])]:
        for claim in claims():
            for finding in judge(claim, records).findings:
                rows = [(claim, row) for row in finding.lacking]
                for line in commands([finding]):
                    ask = request(line)
                    place = ask.dataset, ask.budget, ask.overrides
                    here = [pair for pair in rows if (pair[1].dataset, pair[1].budget, pair[1].settings) == place]
                    assert here, line
                    found.setdefault(line, []).extend(here)
    return found


@cache
def request(line):
    words = shlex.split(line)
    assert words[:2] == ["latent-ot", "bench"]
    given = BENCH.make_context("bench", words[2:]).params
    return Options(**given).request()


def shape(dataset):
    if dataset in published_sets() and published_sets()[dataset].kind == "points":
        return (2,)
    channels, side = SIDES.get(dataset, (1, 32) if dataset == "mnist5k" else (3, 64))
    return channels, side, side


@cache
def catalog():
    return Catalog()


def planner(ask):
    train = published_sets()[ask.dataset].train if ask.dataset in published_sets() else 4000
    facts = Facts(ask.dataset, "0" * 12, shape(ask.dataset), train, 10_000, {})
    size = budget(ask.budget, ask.dataset, train, facts.kind)
    evaluator = (next(iter(ask.evaluators), "mnist"), "0" * 16) if facts.kind == "image" else (None, None)
    rules = protocol(facts, size, *evaluator, 10_000)
    found = Planner(catalog(), facts, size, lambda: rules, ask.overrides, ask.threads, ask.devices_per_run)
    found._built = BUILT
    return found


@pytest.fixture(scope="module")
def planned():
    """Command -> its request, and label -> what a record of each run that it plans would say of its settings."""
    found, plans = {}, {}
    for line in asked(everything=True):
        ask = request(line)
        where = repr((ask.dataset, ask.budget, ask.overrides, ask.evaluators))
        plan = plans.setdefault(where, planner(ask))
        plan.check_overrides(ask.methods)
        runs = [plan.training(method, 0) for method in ask.methods]
        assert [run.declined for run in runs] == [None] * len(runs), line
        kept = [
            {
                "method": run.label,
                "overrides": dict(run.overrides),
                "config": {s.job["name"]: s.job["config"] for s in run.stages},
            }
            for run in runs
        ]
        found[line] = ask, kept
    return found


@pytest.mark.slow
def test_every_printed_command_plans_the_runs_that_its_claims_read(record, planned):
    assert len(planned) > 100
    base = record()
    for line, (ask, kept) in planned.items():
        runs = [base.model_copy(update=fields) for fields in kept]
        assert asked(everything=True)[line], line
        for claim, row in asked(everything=True)[line]:
            assert (row.dataset, row.budget) == (ask.dataset, ask.budget)
            assert any(row.is_of(run) for run in runs), f"{claim.id}: {line} makes no run of {row}"
            assert claim.evaluator != "inception" or ask.evaluators == ["inception"]
        assert ask.seeds == [0, 1, 2]


@pytest.mark.slow
def test_a_curve_of_fid_is_asked_only_of_methods_that_have_one(planned):
    """It is followed for methods trained end to end, and for the usual sampler where that is fitted in closed form."""
    for line, (_, kept) in planned.items():
        for claim, row in asked(everything=True)[line]:
            recipe = catalog().recipe(row.method, "image")
            if "fid" in claim.rule.curves and len(recipe.parts) == 2:
                usual = catalog().stage("methods", recipe.parts[0]).default_sampler
                assert recipe.parts[1] == usual, f"{claim.id}: {row}"
                assert catalog().stage("samplers", usual).closed_form
        assert kept


def test_the_data_of_every_command_are_there_or_it_is_said_what_to_prepare(tmp_path):
    for name in {request(line).dataset for line in asked(everything=True)}:
        missing = find(name, tmp_path).missing(name, tmp_path)
        assert missing is None or (
            f"'{name}'" in missing and any(word in missing for word in ("put", "fetch", "prepare"))
        ), missing
        assert "\n" not in (missing or "")


def test_a_claim_that_asks_for_inception_says_where_its_weights_come_from(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert any(request(line).evaluators == ["inception"] for line in asked())
    with pytest.raises(InputError, match="--weights inception=FILE"):
        load_evaluator("inception")


def lay_out(data_dir: Path, dataset: str) -> None:
    """Prepared images under a published set's name: soft blobs, 400 to train on and 200 held out."""
    channels, side, _ = shape(dataset)
    grid, g = np.linspace(-1, 1, side), np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 200)):
        centres, widths = g.uniform(-0.6, 0.6, (2, count, 1, channels)), g.uniform(0.1, 0.5, (count, 1, 1, channels))
        apart = (grid[:, None, None] - centres[0][:, None]) ** 2 + (grid[None, :, None] - centres[1][:, None]) ** 2
        (data_dir / dataset / split).mkdir(parents=True, exist_ok=True)
        np.save(data_dir / dataset / split / "images.npy", (255 * np.exp(-apart / widths**2)).astype(np.uint8))
        np.save(data_dir / dataset / split / "labels.npy", g.integers(0, 10, count))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("settle")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", published_sets())
def test_every_printed_command_runs_and_its_claims_read_what_it_made(place, dataset):
    """At budget ``smoke`` and one seed; in the place of Inception, whose weights are not here, another classifier."""
    changed = {"--budget": "smoke", "--seeds": "0", "--data-dir": str(place / "data"), "--store": str(place / "runs")}
    if len(shape(dataset)) == 3:
        lay_out(place / "data", dataset)
        changed["--evaluator"] = "cifar10" if shape(dataset)[0] == 3 else "mnist"
    for line in sorted(line for line in asked() if request(line).dataset == dataset):
        words = shlex.split(line)[2:]
        given = [(name, value) for name, value in zip(words[::2], words[1::2], strict=True) if name not in changed]
        BENCH.main([word for pair in (*given, *changed.items()) for word in pair], standalone_mode=False)
        made = load(place / "runs")
        for claim, row in asked()[line]:
            (run,) = [r for r in made if r.dataset == dataset and row.is_of(r)]
            assert run.status == "done", f"{line}: {run.reason}"
            if claim.rule.curves or claim.rule.metric in QUANTITIES:
                assert claim.rule.figure(run) is not None, f"{claim.id}: {row}"
