"""Several evaluators score one run: it is drawn once, each has a record of its own, and no key moves."""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from driving import normal
from faults.commands import Here

from latent_ot.bench import contract, evaluate, worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.currency import stored
from latent_ot.bench.drawn import Drawn
from latent_ot.bench.executors import local
from latent_ot.bench.finished import recall
from latent_ot.bench.plan import protocol
from latent_ot.bench.prune import unreferred
from latent_ot.bench.request import Request
from latent_ot.errors import InputError, Refused
from latent_ot.metrics import prd
from latent_ot.metrics.evaluators.at_hand import INCEPTION
from latent_ot.options import Options
from latent_ot.record import Protocol


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two methods scored by two evaluators, in this process; and how often a model was drawn from, by what it was."""
    folder, drawn = tmp_path_factory.mktemp("evaluators"), Counter()
    request = Request(
        "digits", ["pca"], [0], "smoke", folder / "data", folder / "runs", evaluators=["digits", "mnist"], gpus=0
    )
    sample = contract.sample

    def counted(model, *given):
        drawn[type(model).__name__] += 1
        return sample(model, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "Local", Here)
        patch.setattr(worker.Line, "send", lambda self, message: None)
        patch.setattr(contract, "sample", counted)
        patch.setattr(evaluate, "save_latent", lambda *given: None)  # a t-SNE of thousands of codes
        patch.setattr(prd, "RUNS", 2)
        patch.setattr(prd, "STARTS", 1)
        records, _ = Benchmark(request).execute()
        alone, _ = Benchmark(replace(request, evaluators=["mnist"], store=folder / "alone")).execute()
    torch.use_deterministic_algorithms(False)
    return SimpleNamespace(request=request, records=records, alone=alone, drawn=drawn)


@pytest.mark.slow
def test_each_evaluator_has_a_record_of_each_run_as_if_it_had_been_asked_alone(made):
    found = {(r["method"], r["protocol"]["evaluator"]): r for r in made.records}
    assert list(found) == [("data", "digits"), ("data", "mnist"), ("pca", "digits"), ("pca", "mnist")]
    for record in made.alone:
        other = found[record["method"], "mnist"]
        assert other["metrics"] == record["metrics"]
        assert other["stages"] == record["stages"]  # keys, too
        assert other["reasons"] == record["reasons"]
    assert found["pca", "digits"]["metrics"]["fid"] != found["pca", "mnist"]["metrics"]["fid"]
    assert found["pca", "digits"]["metrics"]["psnr"] == found["pca", "mnist"]["metrics"]["psnr"]
    assert found["pca", "digits"]["command"].endswith("--budget smoke")  # which is the data set's own
    assert found["pca", "mnist"]["command"].endswith("--budget smoke --evaluator mnist")
    assert {record.outdated for record in stored(made.request.store)} == {()}


@pytest.mark.slow
def test_a_run_is_drawn_once_for_all_evaluators_and_nothing_of_it_stays(made):
    assert made.drawn["Pair"] == 2  # one chunk of 500 in the store of two evaluators, one in that of one
    assert not list((made.request.store / "cache").glob("drawn-*"))


@pytest.mark.slow
def test_the_same_evaluators_again_are_recalled_and_others_are_not(made):
    assert len(recall(made.request)) == 4
    assert recall(replace(made.request, evaluators=["mnist", "digits", "cifar10"])) is None


def test_what_was_drawn_is_read_again_and_what_is_damaged_drawn_again(tmp_path):
    asked = []

    def make(seed):
        return lambda: asked.append(seed) or (255 * normal(3, 4, seed).sigmoid()).to(torch.uint8)

    for kept in (Drawn(tmp_path / "drawn"), Drawn(tmp_path / "drawn")):
        assert torch.equal(kept.once("samples", make(1)), make(1)())
        assert torch.equal(kept.once("walks", make(2)), make(2)())
    assert Counter(asked) == {1: 3, 2: 3}  # once each, and twice for the comparison
    (tmp_path / "drawn" / "samples.safetensors").write_bytes(b"half")
    assert torch.equal(Drawn(tmp_path / "drawn").once("samples", make(3)), make(3)())
    assert Drawn().once("samples", lambda: "made") == "made"


@pytest.mark.slow
def test_what_a_killed_command_had_drawn_may_be_pruned(made, tmp_path):
    left = made.request.store / "cache" / "drawn-0123456789abcdef"
    Drawn(left).once("samples", lambda: torch.zeros(2, 1, 4, 4))
    try:
        assert left in [item.path for item in unreferred(made.request.store).items]
    finally:
        for path in left.iterdir():
            path.unlink()
        left.rmdir()


def test_inception_stands_beside_imagenets_network_where_its_weights_are(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    photos, digits = (SimpleNamespace(kind="image", evaluator=name) for name in ("imagenet_lite0", "mnist"))
    points = SimpleNamespace(kind="points", evaluator=None)
    assert Request("x").resolved(photos).evaluators == ["imagenet_lite0"]
    given = Request("x", weights={"inception": tmp_path / "mine.pth"}).resolved(photos)
    assert given.evaluators == ["imagenet_lite0", "inception"]
    INCEPTION.kept.parent.mkdir(parents=True)
    INCEPTION.kept.touch()
    assert INCEPTION.kept.parent == tmp_path / "hub" / "checkpoints"
    assert Request("x").resolved(photos).evaluators == ["imagenet_lite0", "inception"]
    assert Request("x").resolved(digits).evaluators == ["mnist"]
    assert Request("x", evaluators=["dinov2"]).resolved(photos).evaluators == ["dinov2"]
    assert Request("x", evaluators=["dinov2"]).resolved(points).evaluators == []


def test_options_name_evaluators_and_the_files_of_their_weights(tmp_path):
    for given in (["a,b", "c"], ["a b c"], ["a", "b", "c"]):
        assert Options(evaluator=given).request().evaluators == ["a", "b", "c"]
    file = tmp_path / "w.pth"
    one = Options(evaluator=["clip"], weights=[str(file)]).request()
    assert one.resolved(SimpleNamespace(kind="image", evaluator="mnist")).weights == {"clip": file}
    named = Options(evaluator=["clip", "mnist"], weights=[f"clip={file}"]).request()
    assert named.weights == {"clip": file}
    assert named.command("pca", 0, "clip").endswith("--evaluator clip --weights w.pth")
    assert "weights" not in named.command("pca", 0, "mnist")
    assert Options(inception_weights=file).request().weights == {"inception": file}
    assert Options(inception_weights=file, evaluator=["mine"]).request().weights == {"": file}  # of one's own
    assert Options(weights=["inception=~/w.pth"]).request().weights["inception"].is_absolute()
    for mistake, said in (
        ({"evaluator": ["a", "b"], "weights": ["w"]}, r"weights 'w' with several evaluators; allowed: .* a\|b=w"),
        ({"evaluator": ["a"], "weights": ["b=w"]}, "weights of 'b', which is not to score; allowed: a"),
        ({"weights": ["w", "v"]}, "weights 'v': there is another file"),
        ({"weights": [f"a={tmp_path}"]}, f"weights 'a={tmp_path}' are a folder; allowed: a file"),
    ):
        with pytest.raises(InputError, match=said):
            Options(**mistake).request()


@pytest.mark.slow
def test_a_protocol_says_how_images_are_resized_and_old_ones_are_written_as_before(made):
    facts = Benchmark(made.request).facts
    old, new = (
        protocol(facts, Benchmark(made.request).budget, name, "5" * 64, 10) for name in ("inception", "imagenet_lite2")
    )
    assert (old.resize, new.resize) == (None, "antialiased bicubic to 260 px")
    assert "resize" not in old.model_dump()
    assert "resize" not in json.loads(old.model_dump_json())
    assert new.model_dump()["resize"] == new.resize
    assert Protocol(**new.model_dump()) == new


def test_imagenets_network_does_not_score_what_it_trained(tmp_path):
    asked = Request(
        "digits", ["glo_p"], [0], "smoke", tmp_path / "data", tmp_path / "runs", evaluators=["imagenet_lite2"]
    )
    with pytest.raises(Refused, match=r"'imagenet_lite2' would train what .* nearest: --evaluator imagenet_lite0"):
        Benchmark(asked).plan()
    both = replace(asked, evaluators=["digits", "imagenet_lite2"])
    with pytest.raises(Refused, match="would train what evaluator 'imagenet_lite2'"):
        Benchmark(both).plan()
