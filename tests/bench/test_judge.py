"""The network that scores a run may not train it; what a machine lacks is said before anything trains."""

import importlib.util
import json
import sys

import pytest
from planning import BUDGET, dataset

from latent_ot import cli
from latent_ot.bench import currency
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.judge import judge_among
from latent_ot.bench.plan import Planner, protocol
from latent_ot.bench.request import Request
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import origin_today
from latent_ot.errors import Refused
from latent_ot.metrics.evaluators.base import WEIGHTS

DIGITS = json.loads((WEIGHTS / "digits.json").read_text())["sha256"]
CARD = {"shape": [1, 32, 32], "train": 4000, "test": 1000, "origin": origin_today("mnist5k", {})}
PLUGIN = """
import torch
from latent_ot.{package}.base import {base}


class Own({base}):
    closed_form = True

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.w = torch.nn.Linear(1, 1)

    @classmethod
    def frozen_parts(cls, config):
        return {frozen!r}

    def fit(self, x):
        raise NotImplementedError

    def _sample(self, n, generator):
        raise NotImplementedError
"""


def judged_by(name, checksum, overrides=None, plugins=(), kind="image"):
    data = dataset(kind)
    rules = protocol(data, BUDGET, name, checksum, 1000)
    return Planner(Catalog(plugins), data, BUDGET, lambda: rules, overrides)


def plugin(tmp_path, frozen, package="methods", base="Method"):
    path = tmp_path / f"own_{package}.py"
    path.write_text(PLUGIN.format(package=package, base=base, frozen=frozen))
    return path


def test_a_network_is_the_judge_by_its_name_or_by_its_weights():
    assert judge_among({"Small": 1, "digits": DIGITS[:16]}, "mine", DIGITS) == "digits"
    assert judge_among({"own": 3}, "own", "abc") == "own"
    assert judge_among({"Small": 1, "digits": DIGITS[:16]}, "mnist", "f" * 64) is None
    assert judge_among({"digits": ""}, "mnist", DIGITS) is None
    assert judge_among({}, None, None) is None


@pytest.mark.parametrize("method", ["glo_p", "gldo_p", "glo+gmm"])
@pytest.mark.parametrize(("judge", "checksum"), [("digits", "0" * 64), ("someones", DIGITS)])
def test_a_method_that_learns_from_its_judge_is_refused(method, judge, checksum):
    part = "gldo" if "gldo" in method else "glo"
    settings = {part: {"backbone": "digits", "loss": "perceptual+l2"}}
    said = rf"^{part}: setting 'backbone' = 'digits' .* evaluator '{judge}'.*; nearest: --set {part}.backbone=imagenet_"
    with pytest.raises(Refused, match=said):
        judged_by(judge, checksum, settings).run(method, 0)
    assert judged_by("mnist", "f" * 64, settings).run(method, 0).stages
    assert judged_by(judge, checksum).run(method, 0).stages  # ImageNet's network judges nothing here
    assert judged_by(judge, checksum, {part: {"backbone": "digits", "loss": "l2"}}).run(method, 0).stages
    assert judged_by(judge, checksum, settings).training(method, 0).stages  # without scoring nothing is wrong


def test_a_method_or_sampler_of_ones_own_is_refused_by_what_it_says_that_it_learns_from(tmp_path):
    method = plugin(tmp_path, {"net": "ab12cd34"})
    with pytest.raises(Refused, match=r"^own_methods: network 'net' .* evaluator 'mine'"):
        judged_by("mine", "ab12cd34" * 8, plugins=[method]).run("own_methods", 0)
    assert judged_by("mine", "cd34ab12" * 8, plugins=[method]).run("own_methods", 0).stages
    sampler = plugin(tmp_path, {"digits": 1}, "samplers", "LatentSampler")
    with pytest.raises(Refused, match=r"own_samplers: network 'digits'.*; nearest: --evaluator "):
        judged_by("digits", "0" * 64, plugins=[sampler]).run("ae+own_samplers", 0)


@pytest.fixture
def asked(tmp_path):
    def request(*methods, **changes):
        return Request("digits", methods, [0], "smoke", tmp_path / "data", tmp_path / "runs", **changes)

    return request


def test_what_was_asked_for_is_an_error_and_of_all_methods_it_is_a_row(asked):
    settings = {"glo": {"backbone": "digits"}}
    with pytest.raises(Refused):
        Benchmark(asked("glo", "glo_p", overrides=settings)).plan()
    swept = {run.method: run.declined for run in Benchmark(asked("all", overrides=settings)).plan()}
    assert swept["glo_p"].startswith("glo: setting 'backbone' = 'digits' would train what evaluator 'digits'")
    assert swept["glo"] is swept["gldo_p"] is None
    with pytest.raises(Refused):
        Benchmark(asked("all", "glo_p", overrides=settings)).plan()


def test_the_command_line_says_it_in_one_line_and_trains_nothing(tmp_path, monkeypatch, capsys):
    words = "latent-ot bench --dataset digits --methods glo_p --budget smoke --set glo.backbone=digits --store"
    monkeypatch.setattr(sys, "argv", [*words.split(), str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "glo: setting 'backbone' = 'digits' would train" in said[0]
    assert not list((tmp_path / "runs").rglob("config.json"))


def test_training_alone_is_refused_only_where_a_judge_is_named(asked, monkeypatch):
    monkeypatch.setattr(Benchmark, "run", lambda self, plans: pytest.fail("it trains"))
    settings = {"glo": {"backbone": "digits"}}
    with pytest.raises(Refused, match="would train what evaluator 'digits'"):
        Benchmark(asked("glo_p", overrides=settings, evaluators=["digits"])).train_only("glo_p", 0)
    for one in (asked("glo_p", overrides=settings), asked("glo_p", overrides=settings, evaluators=["mnist"])):
        with pytest.raises(pytest.fail.Exception, match="it trains"):
            Benchmark(one).train_only("glo_p", 0)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_method_is_evaluated_under_every_protocol_that_is_asked_for(form, tmp_path, monkeypatch, capsys):
    def score(self, plans):
        return [{"status": "done", "metrics": {"fid": 1.5}, "protocol": {"id": p.rules.id}} for p in plans], False

    monkeypatch.setattr(Benchmark, "score", score)
    words = ["latent-ot", "evaluate", "vae", "--dataset", "digits", *form, "--evaluator", "digits,mnist"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    if form:
        assert [record["protocol"]["id"].split("/")[1].split("-")[0] for record in json.loads(out)] == [
            "digits",
            "mnist",
        ]
    else:
        lines = out.splitlines()
        assert [line.split("/")[1].split("-")[0] for line in lines[::2]] == ["digits", "mnist"]
        assert lines[1::2] == ["fid              1.5"] * 2


def test_an_evaluator_that_there_is_not_is_said_by_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "evaluate", "sample"):
        monkeypatch.setattr(sys, "argv", ["latent-ot", name, "vae", "--dataset", "digits", "--evaluator", "mnits"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        assert "nearest: mnist" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_missing_network_is_said_before_anything_trains_and_asks_nothing_of_what_is_done(asked, monkeypatch):
    with_it = Benchmark(asked("gldo_p"))
    stage = with_it.plan()[1].stages[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    one = Benchmark(asked("gldo_p"))
    for plan in (one.plan, lambda: one.train_only("gldo_p", 0), lambda: one.planned("gldo_p", 0)):
        with pytest.raises(Refused, match=r"'imagenet_lite2': its packages are not installed; pip install"):
            plan()
    swept = {run.method: run.declined for run in Benchmark(asked("all")).plan()}
    assert "pip install" in swept["gldo_p"]
    assert "pip install" in swept["glo_p"]
    assert swept["gldo"] is swept["glo_lap"] is None
    monkeypatch.setattr(one.store, "result", lambda name: {"status": "done"} if name == stage.name else None)
    assert one.plan()[1].stages[0].key == stage.key  # the key states the network, whether it is here or not


def test_a_record_of_a_run_that_its_judge_trained_is_marked(record):
    frozen = {"stage": {"Gldo": 1}, "frozen": {"Small": 1, "mnist": "1a2b3c4d"}}
    stages = [{"stage": "gldo", "key": "0" * 16, "made_of": frozen}]
    (why, *_) = currency.outdated(record("gldo_p", 0, stages=stages, data=CARD))
    assert why == "network mnist trained it and scores it, which is refused now"
    other = record("gldo_p", 0, stages=[{**stages[0], "made_of": {"frozen": {"mnist2": "9" * 16}}}], data=CARD)
    assert not any("scores it" in why for why in currency.outdated(other))


def test_a_row_that_was_refused_is_no_older_for_that(record):
    refused = {"status": "declined", "reason": "its judge would train it", "stages": [], "metrics": {}, "data": CARD}
    overrides = {"glo": {"backbone": "mnist"}}
    found = currency.outdated(record("glo_p", 0, overrides=overrides, **refused))
    assert not any("would train what evaluator" in why for why in found)
    done = record("glo_p", 0, overrides=overrides, data=CARD)  # made before networks were kept in records
    assert any("would train what evaluator" in why for why in currency.outdated(done))
