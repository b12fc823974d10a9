"""Upkeep of a store: what is outdated is marked, what is forced is made again, what nothing refers to can go."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latent_ot import cli
from latent_ot.bench import currency, identity, machine
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.force import forced
from latent_ot.bench.prune import remove, unreferred
from latent_ot.bench.request import Request
from latent_ot.bench.store import Store, finish, result_of
from latent_ot.budgets import settings
from latent_ot.errors import InputError, StoreError
from latent_ot.methods.pca import Pca, PcaConfig
from latent_ot.metrics.evaluators.small import Small
from latent_ot.metrics.psnr import Psnr
from latent_ot.results import load
from latent_ot.results import remove as remove_records
from latent_ot.samplers.gaussian import Gaussian


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("upkeep")
    request = Request("digits", ["pca", "pca+flow"], [0], "smoke", folder / "data", folder / "runs")
    Benchmark(request).execute()
    return request


@pytest.fixture
def request_here(made, with_a_store_of_its_own) -> Request:
    return with_a_store_of_its_own(made)


def reasons(request: Request) -> dict[str, tuple[str, ...]]:
    return {r.method: currency.outdated(r) for r in load(request.store)}


@pytest.mark.slow
def test_what_was_just_made_is_current_without_its_data(made, monkeypatch):
    monkeypatch.setattr("latent_ot.datasets.base.load", None)
    assert reasons(made) == {"data": (), "pca": (), "pca+flow": ()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "marked"),
    [(Gaussian, {"pca", "pca+flow"}), (Pca, {"pca", "pca+flow"}), (Psnr, {"pca", "pca+flow"}), (Small, None)],
)
def test_a_version_raised_outdates_what_has_it_and_says_so(part, marked, made, monkeypatch):
    monkeypatch.setattr(part, "version", 2)
    found = reasons(made)
    assert {name for name, why in found.items() if why} == (marked or set(found))
    assert {why for whys in found.values() for why in whys} == {f"{part.__name__} is version 2 now, was 1"}


@pytest.mark.slow
def test_a_changed_budget_default_protocol_or_view_outdates(made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(settings()["budgets"]["smoke"], "codes", 6400)
        assert reasons(made)["pca+flow"] == ("budget smoke draws 6,400 codes now, was 12,800",)
        assert reasons(made)["pca"] == ()  # fitted in closed form at any budget
    with monkeypatch.context() as patch:
        patch.setattr(PcaConfig.model_fields["components"], "default", 7)
        PcaConfig.model_rebuild(force=True)
        assert reasons(made)["pca"] == ("pca.components is 7 now, was 100",)
    PcaConfig.model_rebuild(force=True)
    with monkeypatch.context() as patch:
        patch.setitem(settings()["protocol"]["n"], "image", 100)
        assert "n100" in reasons(made)["data"][0]
    with monkeypatch.context() as patch:
        patch.setattr("latent_ot.datasets.digits.SIZE", 28)
        assert all("data set digits: " in why[0] for why in reasons(made).values())
    assert reasons(made) == {"data": (), "pca": (), "pca+flow": ()}


@pytest.mark.slow
def test_a_metric_that_came_later_or_went_outdates_nothing_but_is_measured(made, monkeypatch):
    before = identity.scoring

    def scoring(*terms):
        found = before(*terms)
        return {**found, "metrics": {**found["metrics"], "Later": 1}}

    keys = [run.stages[-1].key for run in Benchmark(made).plan()]
    with monkeypatch.context() as patch:
        patch.setattr("latent_ot.bench.plan.scoring", scoring)
        assert reasons(made) == {"data": (), "pca": (), "pca+flow": ()}
        assert not set(keys) & {run.stages[-1].key for run in Benchmark(made).plan()}

    def without(*terms):
        found = before(*terms)
        return {**found, "metrics": {k: v for k, v in found["metrics"].items() if k != "Fid"}}

    monkeypatch.setattr("latent_ot.bench.plan.scoring", without)
    assert reasons(made) == {"data": (), "pca": (), "pca+flow": ()}


@pytest.mark.slow
def test_what_was_found_is_remembered_until_the_code_changes(request_here, tmp_path, monkeypatch):
    first = currency.mark(load(request_here.store), tmp_path / "memory")
    monkeypatch.setattr(currency, "outdated", lambda record: 1 / 0)
    assert currency.mark(load(request_here.store), tmp_path / "memory") == first
    monkeypatch.setattr(currency, "digest", lambda: "other")
    with pytest.raises(ZeroDivisionError):
        currency.mark(load(request_here.store), tmp_path / "memory")


@pytest.mark.slow
def test_the_stores_pages_are_drawn_again_when_a_record_or_the_code_changes(request_here, monkeypatch):
    page = request_here.store / "README.md"

    def drawn() -> bool:
        page.write_text("kept")
        cli.write_store_pages(request_here.store)
        return page.read_text() != "kept"

    assert drawn()
    assert not drawn()
    monkeypatch.setattr(currency, "digest", lambda: "other")
    assert drawn()
    assert not drawn()
    remove_records(request_here.store, [load(request_here.store)[0].stem])
    assert drawn()
    page.unlink()
    cli.write_store_pages(request_here.store)
    assert page.exists()


@pytest.mark.slow
def test_a_record_edited_by_hand_is_marked(request_here):
    path = next((request_here.store / "results").glob("digits--pca--*.json"))
    record = json.loads(path.read_text())
    record["metrics"]["fid"] += 1
    path.write_text(json.dumps(record, indent=1, sort_keys=True))
    marked = {r.method: r.outdated for r in currency.stored(request_here.store)}
    assert marked["pca"][0].startswith("edited")
    assert marked["pca+flow"] == ()


@pytest.mark.slow
def test_a_record_that_says_too_little_is_outdated(made):
    (record,) = (r for r in load(made.store) if r.method == "pca")
    assert currency.outdated(record.model_copy(update={"data": {}})) == ("it does not say what its data were",)
    bare = [stage.model_copy(update={"made_of": {}}) for stage in record.stages]
    assert currency.outdated(record.model_copy(update={"stages": bare})) == (currency.UNKNOWN,)


def results(request: Request) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in (request.store / "stages").glob("*/result.json")}


@pytest.mark.slow
def test_forced_stages_and_what_is_built_on_them_are_made_again(request_here):
    before = results(request_here)
    rows, _ = Benchmark(replace(request_here, force=["gaussian"])).execute()
    again = {name.split("-")[1] for name, time in results(request_here).items() if time != before[name]}
    assert again == {"gaussian", "pca"}  # the evaluation that bears the method's name
    assert len([n for n, t in results(request_here).items() if t != before[n]]) == 2
    assert [row["status"] for row in rows] == ["done"] * 3


@pytest.mark.slow
def test_what_is_forced_may_be_called_by_method_or_part_and_nothing_else(made):
    plans = Benchmark(made).plan()
    assert len(forced(plans, ["pca+flow"])) == 6  # its own four, and what else is built on its representation
    assert len(forced(plans, ["evaluate"])) == 3
    assert len(forced(plans, ["data"])) == 1
    with pytest.raises(InputError, match=r"--force 'gausian' is unknown; .*nearest: gaussian"):
        forced(plans, ["gausian"])


@pytest.mark.slow
def test_a_wrong_name_in_force_removes_nothing(request_here):
    before = results(request_here)
    with pytest.raises(InputError, match="--force 'glo' is unknown"):
        Benchmark(replace(request_here, force=["pca", "glo"])).execute()
    assert results(request_here) == before


@pytest.mark.slow
def test_prune_finds_nothing_in_a_fresh_store(request_here):
    assert unreferred(request_here.store).items == ()


@pytest.mark.slow
def test_prune_says_what_no_plan_refers_to_and_removes_that_alone(request_here, monkeypatch):
    (request_here.store / "stages" / "digits-old-ci-s0-0123456789abcdef").mkdir()
    stay = set((request_here.store / "cache").glob("features-*.npz"))
    (request_here.store / "cache" / "features-0123456789ab-0123456789abcdef.npz").write_bytes(b"old")
    monkeypatch.setattr(Gaussian, "version", 2)
    found = unreferred(request_here.store)
    gone = {item.path.name.rpartition("-")[0]: item.why for item in found.items if item.record is None}
    assert gone["digits-gaussian-smoke-s0"] == "Gaussian is version 2 now, was 1"
    assert gone["digits-pca-reconstruct-smoke-s0"] == "Gaussian is version 2 now, was 1"
    assert gone["digits-pca-evaluate-smoke-s0"] == "what it is built on, its reconstruct stage, is gone or goes"
    assert gone["digits-old-ci-s0"] == "its config.json is missing, or of an earlier form"
    assert gone["features-0123456789ab"] == "no stage that stays has these data"
    assert gone.keys() & {"digits-pca-smoke-s0", "digits-flow-smoke-s0", "digits-data-evaluate-smoke-s0"} == set()
    assert {item.record.split("--")[1] for item in found.items if item.record} == {"pca", "pca+flow"}
    *lines, total = found.lines()
    assert len(lines) == len(found.items)
    assert f"in {len(found.items)} places" in total
    remove(found)
    assert set((request_here.store / "cache").glob("features-*.npz")) == stay
    assert unreferred(request_here.store).items == ()
    assert {r.method for r in load(request_here.store)} == {"data"}


@pytest.mark.slow
def test_a_job_that_was_edited_and_a_budget_that_has_changed_are_not_referred_to(request_here, monkeypatch):
    assert unreferred(request_here.store).items == ()
    monkeypatch.setitem(settings()["budgets"]["smoke"], "codes", 6400)
    whys = [item.why for item in unreferred(request_here.store).items]
    assert "budget smoke has 6,400 draws at width 0.25 now" in whys
    monkeypatch.undo()
    config = next((request_here.store / "stages").glob("digits-flow-*")) / "config.json"
    card = json.loads(config.read_text())
    card["job"]["seed"] = 5
    config.write_text(json.dumps(card))
    whys = [item.why for item in unreferred(request_here.store).items]
    assert whys[0] == "its config.json gives another key than its name"


def test_there_must_be_a_store_to_prune(tmp_path):
    with pytest.raises(InputError, match=r"store '.*none': there is none"):
        unreferred(tmp_path / "none")


@pytest.mark.slow
def test_threads_are_a_setting_and_the_workers_take_so_many(made, tmp_path):
    one, two = (Benchmark(replace(made, threads=threads)) for threads in (1, 2))
    assert not {s.key for s in one.planner.run("pca", 0).stages} & {s.key for s in two.planner.run("pca", 0).stages}
    few = Benchmark(replace(made, threads=2, store=tmp_path / "runs"))
    (folder, *_) = few.train_only("pca", 0)
    assert json.loads((folder / "result.json").read_text())["machine"]["threads"] == 2
    with pytest.raises(InputError, match="threads = 0; allowed: 1 or more"):
        Benchmark(replace(made, threads=0))


@pytest.mark.slow
def test_a_record_has_the_machine_of_each_stage_where_they_are_several(request_here):
    (folder,) = (request_here.store / "stages").glob("digits-flow-*")
    told = result_of(folder)
    finish(folder, {**told, "machine": {**told["machine"], "device": "a GPU"}})
    Benchmark(request_here).execute()
    found = {r.method: [(stage, made["device"]) for stage, made in r.machines] for r in load(request_here.store)}
    here = machine.cpu_model()
    apart = [("pca", here), ("flow", "a GPU"), ("reconstruct", here), ("evaluate", here)]
    assert found == {"data": [("", here)], "pca": [("", here)], "pca+flow": apart}


@pytest.mark.slow
def test_a_record_of_a_run_on_two_devices_is_current_and_says_how_to_make_it_again(request_here):
    made, stopped = Benchmark(replace(request_here, methods=["pca"], devices_per_run=2)).execute()
    assert (stopped, [record["devices"] for record in made]) == (False, [2, 2])
    (found,) = (record for record in load(request_here.store) if record.devices == 2 and record.method == "pca")
    assert found.command.endswith("--devices-per-run 2")
    assert currency.outdated(found) == ()


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_said_before_any_work(made, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Benchmark(replace(made, store=tmp_path / "file" / "runs")).execute()
    store = Store(tmp_path / "runs")

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StoreError, match=r"store '.*runs' cannot be written \(Read-only file system\)"):
        store.check_writable()
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="Read-only file system"):
        Store(tmp_path / "else").check_writable()
