"""Publication: what may be published, that a refusal changes nothing, and the one small picture a method."""

import hashlib
import json

import numpy as np
import pytest

from latent_ot.errors import InputError
from latent_ot.leaderboard import publish, stale
from latent_ot.pictures.images import save_grid
from latent_ot.record import dump
from latent_ot.results import add, load

CURVES = {"fid": [[64, 3.5], [128, 2.5]]}
SLUG = "ci--s{}--mnist-1a2b3c4d-n1000-rec128x200"


def sheet(path, seed=0, size=16, channels=1, n=64):
    """A sheet of noise, which compresses as badly as a picture can."""
    save_grid(path, np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8))
    return path


def tree(root):
    return {str(p): hashlib.sha256(p.read_bytes()).digest() for p in root.rglob("*") if p.is_file()}


def stem(method, seed):
    return f"mnist5k--{method}--{SLUG.format(seed)}"


@pytest.fixture
def store(tmp_path, raw):
    """A store with three seeds of two methods, each with a sheet of samples, and a run that diverged."""
    runs = [raw(m, s, curves=CURVES) for m in ("gldo", "glo") for s in range(3)]
    runs.append(raw("vae", status="diverged", reason="loss is NaN", metrics={}))
    for path in add(tmp_path / "runs", runs)[:6]:
        sheet(path.with_name(f"{path.stem}.samples.png"), int(path.stem.split("--s")[1][0]))
        sheet(path.with_name(f"{path.stem}.latent.png"))
    return tmp_path / "runs"


@pytest.fixture
def boards(tmp_path):
    return tmp_path / "boards"


def chosen(store, **wanted):
    return [r for r in load(store, stored=True) if all(getattr(r, k) == v for k, v in wanted.items())]


def pictures(boards):
    return sorted(p.name.removesuffix(".png") for p in (boards / "results").glob("*.png"))


def test_chosen_records_arrive_as_they_are_with_curves_a_small_picture_and_pages(store, boards):
    paths = publish(chosen(store, method="gldo"), store, boards)
    assert [p.name for p in paths] == [*(f"{stem('gldo', s)}.json" for s in range(3)), f"{stem('gldo', 0)}.png"]
    published = load(boards)
    assert [dump(r) for r in published] == [dump(r) for r in chosen(store, method="gldo")]
    assert [r.curves.series("fid") for r in published] == 3 * [[(64, 3.5), (128, 2.5)]]
    assert not any(r.stored or r.outdated for r in published)
    assert stale(boards, published) == []
    assert "glo--" not in "".join(tree(boards))


def test_a_run_that_diverged_is_a_result(store, boards):
    publish(chosen(store, method="vae"), store, boards)
    assert [r.status for r in load(boards)] == ["diverged"]
    assert pictures(boards) == []


def test_a_lower_seed_takes_the_pictures_place_and_a_higher_one_does_not(store, boards):
    publish(chosen(store, seed=1), store, boards)
    assert pictures(boards) == [stem("gldo", 1), stem("glo", 1)]
    publish(chosen(store, seed=2), store, boards)
    assert pictures(boards) == [stem("gldo", 1), stem("glo", 1)]
    publish(chosen(store, seed=0, method="glo"), store, boards)
    assert pictures(boards) == [stem("gldo", 1), stem("glo", 0)]
    assert stale(boards, load(boards)) == []


def test_a_run_that_may_not_be_shown_leaves_the_picture_of_another_seed(store, boards):
    publish(chosen(store, seed=1, method="glo"), store, boards)
    (store / "results" / f"{stem('glo', 0)}.samples.png").unlink()
    publish(chosen(store, seed=0, method="glo"), store, boards)
    assert pictures(boards) == [stem("glo", 1)]
    (store / "results" / f"{stem('glo', 1)}.samples.png").unlink()
    publish(chosen(store, seed=1, method="glo"), store, boards)  # the picture of an earlier run is not this one's
    assert pictures(boards) == []


def test_an_old_record_of_the_same_run_is_replaced(store, boards, raw):
    add(boards, [raw("glo", 0, {"fid": 99.0}, commit="old")])
    publish(chosen(store, seed=0, method="glo"), store, boards)
    (record,) = load(boards)
    assert record.metrics == {"fid": 10.0}


def test_pages_mark_what_the_caller_marks(store, boards):
    def mark(records):
        old = {"outdated": ("glo is version 2 now",)}
        return [r.model_copy(update=old) if r.method == "glo" else r for r in records]

    publish(chosen(store, seed=0), store, boards)
    publish(chosen(store, seed=1, method="gldo"), store, boards, mark)
    assert "glo is version 2 now" in (boards / "mnist5k.md").read_text()
    assert stale(boards, mark(load(boards))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "0 records are chosen"),
        ({"budget": "smoke"}, "has the budget smoke"),
        ({"outdated": ("glo is version 2", "more")}, r"is outdated \(glo is version 2\); run it again: `latent-ot"),
        ({"outdated": ("edited",), "command": None}, r"is outdated \(edited\); run it again"),
        ({"status": "failed", "reason": "killed\nby the kernel"}, r"failed \(killed\)"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_changes_nothing(store, boards, change, message):
    publish(chosen(store, seed=1), store, boards)
    before = tree(store) | tree(boards)
    good, bad = chosen(store, seed=0, method="gldo"), chosen(store, seed=0, method="glo")
    asked = [] if change is None else [*good, *(r.model_copy(update=change) for r in bad)]
    with pytest.raises(InputError, match=message) as error:
        publish(asked, store, boards)
    assert "\n" not in str(error.value)
    assert change is None or "mnist5k--glo--" in str(error.value)
    assert tree(store) | tree(boards) == before


def test_a_spoilt_picture_or_board_stops_it_before_anything_is_written(store, boards):
    picture = store / "results" / f"{stem('glo', 0)}.samples.png"
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(InputError, match=r"samples\.png' is damaged"):
        publish(chosen(store, seed=0), store, boards)
    assert not boards.exists()
    publish(chosen(store, seed=1), store, boards)
    (boards / "results" / "old.json").write_text(json.dumps({"schema": 1}))
    before = tree(boards)
    with pytest.raises(InputError, match="form before versions"):
        publish(chosen(store, seed=2), store, boards)
    assert tree(boards) == before


def test_the_samples_nearest_to_training_images_are_published_small_and_linked(store, boards):
    for seed in (0, 1):
        sheet(store / "results" / f"{stem('glo', seed)}.copies.png", seed, n=20)
    publish(chosen(store, seed=1, method="glo"), store, boards)
    assert pictures(boards) == [stem("glo", 1), f"{stem('glo', 1)}.copies"]
    publish(chosen(store, seed=0, method="glo"), store, boards)
    assert pictures(boards) == [stem("glo", 0), f"{stem('glo', 0)}.copies"]
    assert f"results/{stem('glo', 0)}.copies.png" in (boards / "mnist5k.md").read_text()
    assert stale(boards, load(boards)) == []
    assert (boards / "results" / f"{stem('glo', 0)}.copies.png").stat().st_size < 12_000
