"""``table --run``: the rows of a published table with their settings, at every seed, finished work reused."""

from dataclasses import replace

import pytest

from latent_ot.bench.request import Request
from latent_ot.bench.rerun import Rows, rerun
from latent_ot.budgets import settings
from latent_ot.errors import InputError
from latent_ot.published import PublishedTable, load_table
from latent_ot.report.tables import grids
from latent_ot.report.text import render
from latent_ot.results import load

K = "kmeans_gauss"
TABLE = {
    "id": "t", "paper": "p", "title": "T", "place": "Table 1", "caption": "c", "protocol": "P.",
    "columns": [{"key": "a", "label": "A", "dataset": "circles", "metric": "ot_divergence", "direction": "down"}],
    "rows": [
        {"label": "K", "method": K},
        {"label": "K, 2", "method": K, "settings": {K: {"components": 2}}},
        {"label": "K, 16", "method": K, "settings": {K: {"components": 16}}},
        {"label": "odd", "method": K, "settings": {K: {"componets": 5}}},
        {"label": "quoted", "method": None},
        {"label": "data", "method": "data"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def spec() -> PublishedTable:
    return PublishedTable.build(TABLE, "test")


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("rerun")
    return Request("moons", [], [0], "smoke", folder / "data", folder / "runs", subset=100)


@pytest.fixture(scope="module")
def first(spec, asked):
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings()["protocol"]["repeats"], "points", 2)  # what is scored does not matter here
        return *rerun(spec, asked, said.append), said


def test_every_row_of_the_suite_is_run_with_its_settings_and_the_others_say_why_not(first, asked):
    ran, stopped, said = first
    assert (ran, stopped) == ({"circles": "moons_100"}, False)
    assert said[0].startswith("not run: kmeans_gauss: setting 'componets' is unknown")
    assert len(said) == 1
    runs = {(r.method, r.seed): r for r in load(asked.store)}
    assert set(runs) == {("data", 0), (K, 0), (f"{K}[components=2]", 0)}
    assert {r.status for r in runs.values()} == {"done"}
    two = runs[f"{K}[components=2]", 0]
    assert two.overrides == {K: {"components": 2}}
    assert two.command.endswith(f"--set {K}.components=2")
    assert "--set" not in runs[K, 0].command + runs["data", 0].command


def test_rows_match_records_by_method_and_settings_set_or_default(first, spec, asked):
    (grid,) = grids(spec, "moons_100", "smoke", load(asked.store))
    seeds = {row[0].data.get("label"): row[1].data["seeds"] for row in grid.rows}
    assert seeds == {"K": 1, "K, 2": 1, "K, 16": 1, "odd": 0, "quoted": 0, "data": 1}
    values = {row[0].data.get("label"): row[1].data.get("") for row in grid.rows}
    assert values["K"] == values["K, 16"] < values["K, 2"]  # two Gaussians make no moons
    text = render([grid], "text")
    assert "K, 2: ours with kmeans_gauss.components=2" in text
    assert "– not run for odd: make table TABLE=t RUN=1 BUDGET=smoke DATASET=moons_100" in text


def test_finished_work_is_reused_and_the_records_stay_as_they_are(first, spec, asked, monkeypatch):
    def dates(folder):
        return {p: p.stat().st_mtime_ns for p in folder.rglob("result.json")}

    monkeypatch.setitem(settings()["protocol"]["repeats"], "points", 2)
    before = dates(asked.store), {p: p.read_bytes() for p in (asked.store / "results").iterdir()}
    rerun(spec, asked, lambda line: None)
    assert (dates(asked.store), {p: p.read_bytes() for p in (asked.store / "results").iterdir()}) == before


def test_a_column_asks_for_its_own_settings_and_equal_rows_run_once(asked):
    column = {"key": "b", "label": "B", "dataset": "moons", "metric": "ot_divergence", "direction": "down"}
    columns = [*TABLE["columns"], column | {"settings": {K: {K: {"components": 7}}}}]
    spec = PublishedTable.build(TABLE | {"columns": columns}, "test")
    jobs = [spec.asked(row, c) for row in spec.rows[:3] for c in spec.columns]
    assert jobs[1] == jobs[3] == (K, {K: {"components": 7}})
    rows = Rows(replace(asked, seeds=[3, 4]), jobs)
    assert rows.jobs == [(K, {}), (K, {K: {"components": 7}}), (K, {K: {"components": 2}})]  # 16 is the default
    labels = [K, f"{K}[components=7]", f"{K}[components=2]"]
    every = [(label, seed) for seed in (3, 4) for label in labels]
    assert [(plan.label, plan.seed) for plan in rows.plan()] == [("data", 3), *every]


def test_a_stop_ends_the_whole_table(spec, asked, monkeypatch):
    monkeypatch.setattr(Rows, "execute", lambda self: ([], True))
    assert rerun(spec, asked, lambda line: None) == ({"circles": "moons_100"}, True)


@pytest.mark.slow
def test_without_a_data_set_each_column_takes_what_is_here_and_the_rest_says_what_to_fetch(asked, monkeypatch):
    done: list[tuple[str, list[str]]] = []

    def execute(self):
        done.append((self.dataset.id, [method for method, _ in self.jobs]))
        return [], False

    monkeypatch.setattr(Rows, "execute", execute)
    said: list[str] = []
    ran, _ = rerun(load_table("gldo-table2"), replace(asked, dataset="", subset=None), said.append)
    assert ran == {"mnist": "mnist5k"}
    assert done == [("mnist5k", ["pca", "wae_mmd", "dcgan", "glo_p", "gldo_p", "glo", "gldo", "wae_mmd_own"])]
    assert len([line for line in said if line.startswith("not run: ")]) == len(said) == 3
    with pytest.raises(InputError, match="fashion_mnist"):
        rerun(load_table("gldo-table2"), replace(asked, dataset="fashion_mnist"), said.append)
    with pytest.raises(InputError, match="budget 'smke' is unknown"):
        rerun(load_table("gldo-table2"), replace(asked, budget="smke"), said.append)


def test_what_a_row_has_by_its_data_or_its_name_is_no_setting_of_it(asked):
    toy = {"network": "toy", "latent_dim": 5, "batch_size": 256, "lr": 1e-4}
    jobs = [
        ("wgan_gp", {"wgan_gp": toy}),
        ("wgan_gp", {"wgan_gp": {**toy, "latent_dim": 2}}),
        ("kmeans_gauss_k8", {K: {"components": 8}}),
        ("kmeans_gauss_k8", {K: {"components": 16}}),  # the field's default, but not this name's
    ]
    assert Rows(asked, jobs).jobs == [
        ("wgan_gp", {}),
        ("wgan_gp", {"wgan_gp": {"latent_dim": 2}}),
        ("kmeans_gauss_k8", {}),
        ("kmeans_gauss_k8", {K: {"components": 16}}),
    ]


def test_the_command_of_the_readme_and_the_table_run_the_same_wgan_gp_on_mixtures(asked):
    spec = load_table("iwgan-toy-fig2")
    jobs = [spec.asked(row, column) for row in spec.rows for column in spec.columns]
    assert Rows(replace(asked, dataset="grid25", subset=None), jobs).jobs == [("iwgan", {}), ("wgan_gp", {})]
