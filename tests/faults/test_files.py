"""Every file that the suite reads may be cut short, empty, garbage, another's or hostile: one line, and on it goes."""

import gzip
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from driving import normal, run
from PIL import Image

from latent_ot import budgets, results
from latent_ot.bench.currency import remembered
from latent_ot.bench.store import Store, config_of, finish, result_of
from latent_ot.bench.train import Stopped
from latent_ot.datasets.base import load
from latent_ot.datasets.cifar10 import Cifar10
from latent_ot.datasets.content import Card, read_card, write_card
from latent_ot.datasets.folder import files, read_images
from latent_ot.datasets.idx import FILES, read_idx
from latent_ot.datasets.prepared import kept
from latent_ot.datasets.stream import Zip
from latent_ot.errors import InputError
from latent_ot.files import home, read_json, read_yaml, shown, write_json
from latent_ot.leaderboard import choose_records, publish, refuse_damaged
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.methods.pca import Pca, PcaConfig
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import FeatureSet, cached
from latent_ot.pictures.small import small_picture
from latent_ot.record import dump
from latent_ot.stage import Spec
from latent_ot.tensors import read_checkpoint, read_codes, read_weights, write_checkpoint, write_tensors, write_weights

PAGE = b"<!DOCTYPE html>\n<html><body>Not found</body></html>"


class Bomb:
    """What a hostile file asks to be executed."""

    def __reduce__(self):
        return (pytest.fail, ("executed",))


DAMAGE = {
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\x93\x00\xffno file of any kind" * 20,
    "zeros": lambda data: bytes(len(data)),
    "web page": lambda data: PAGE,
    "pickle": lambda data: pickle.dumps(Bomb()),
    "pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
}
SAYS = {"empty": "is empty", "web page": "is a web page", "pointer": "is a Git LFS pointer"}


def spoil(path, how):
    path.write_bytes(DAMAGE[how](path.read_bytes()))


def npz(path, **arrays):
    np.savez(path, **arrays)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def png(level=0, size=(20, 20), form="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(out, form)
    return out.getvalue()


def written(name):
    """A reader of each format -> a name, what writes a whole file there, and the reader."""

    def tar(path):
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("cifar-10-batches-py/x"))

    def zipped(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("1.png", png())

    def pictured(path):
        path.write_bytes(png())

    def weights(path):
        write_weights(path, torch.nn.Linear(2, 3))

    table = {
        "json": ("a.json", lambda p: write_json(p, {"a": 1}), lambda p: read_json(p, "figures", "delete it")),
        "yaml": ("a.yaml", lambda p: p.write_text("a: {b: [1, 2]}\n"), read_yaml),
        "config": ("config.json", lambda p: write_json(p, {"job": dict.fromkeys(("role", "name", "inputs"))}),
                   lambda p: config_of(p.parent)),
        "result": ("result.json", lambda p: finish(p.parent, {"status": "diverged"}), lambda p: result_of(p.parent)),
        "weights": ("model.safetensors", weights, lambda p: read_weights(p, torch.nn.Linear(2, 3))),
        "codes": ("codes.safetensors", lambda p: write_tensors(p, {"codes": normal(4, 3)}), read_codes),
        "checkpoint": ("last.ckpt", lambda p: write_checkpoint(p, {"a": normal(4, 3)}),
                       lambda p: read_checkpoint(p, "a checkpoint")),
        "features": ("real.npz", lambda p: FeatureSet(normal(5, 3), normal(5, 2)).save(p), FeatureSet.load),
        "array": ("train/images.npy", lambda p: arrays(p.parents[1]), lambda p: kept(p.parents[1])),
        "labels": ("train/labels.npy", lambda p: arrays(p.parents[1]), lambda p: kept(p.parents[1])),
        "card": ("content.json", lambda p: write_card(p.parent, Card()), lambda p: read_card(p.parent)),
        "idx": ("images", lambda p: p.write_bytes(idx(np.zeros((3, 4, 4), np.uint8))), read_idx),
        "idx.gz": ("images.gz", lambda p: p.write_bytes(gzip.compress(idx(np.zeros(9, np.uint8)))), read_idx),
        "tar": ("cifar-10-python.tar.gz", tar, lambda p: Cifar10().read("cifar10", p.parent)),
        "zip": ("img.zip", zipped, Zip),
        "picture": ("a.png", pictured, lambda p: small_picture(p, "points")),
    }  # fmt: skip
    return table if name is None else table[name]


def arrays(folder):
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        np.save(folder / split / "images.npy", np.zeros((40, 8, 8, 1), np.uint8))
        np.save(folder / split / "labels.npy", np.zeros(40, np.int64))


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("format_", written(None))
def test_a_damaged_file_is_one_line_with_its_folder_and_nothing_is_executed(format_, how, tmp_path):
    name, write, read = written(format_)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    if format_ != "tar":  # whose batches are no CIFAR-10
        read(path)
    spoil(path, how)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert SAYS.get(how, "is ") in str(error.value)


@pytest.mark.parametrize("format_", [name for name in written(None) if name not in ("card", "labels", "result")])
def test_a_missing_file_and_a_folder_in_its_place_are_one_line(format_, tmp_path):
    name, write, read = written(format_)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if format_ == "array":
        write(path)
        path.unlink()
        np.save(path, np.zeros((2, 8, 8, 1), np.uint8))
        path = path.parents[1] / "test" / "images.npy"
        path.unlink()
    for _ in range(2):
        with pytest.raises(InputError) as error:
            read(path if format_ != "array" else path.parents[1] / "train" / "images.npy")
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        path.mkdir(exist_ok=True)


# --- A training that was interrupted -------------------------------------------------------------------------------


def small_ae(seed=0):
    torch.manual_seed(seed)
    return Ae(AeConfig.build({"batch_size": 8, "latent_dim": 4}, "ae"), Spec((1, 32, 32), 32, 128, 0.1, seed))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 32, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "ae-0"
    return folder, run(small_ae(), images, folder)


@pytest.fixture(scope="module")
def halfway(images, tmp_path_factory):
    """The folder of a training that was stopped after half of its steps, and of another one."""
    asked, top = [], tmp_path_factory.mktemp("half")
    for name, stage in (("ae-0", small_ae()), ("other-1", small_ae(1))):
        asked.clear()
        with pytest.raises(Stopped):
            run(stage, images, top / name, lambda: asked.append(1) or len(asked) == 9)
    return top


def flipped(path):
    data = bytearray(path.read_bytes())
    place = data.index(b"model") if b"model" in data else len(data) // 2
    place = len(data) // 3 if place > len(data) // 2 else len(data) // 2
    data[place] ^= 0xFF
    path.write_bytes(bytes(data))


FOREIGN = {
    "another stage's": lambda folder: shutil.copy(folder.parent / "other-1" / "last.ckpt", folder),
    "a list": lambda folder: torch.save([1, 2], folder / "last.ckpt"),
    "other weights": lambda folder: changed(folder, model={"x": torch.zeros(2)}),
    "no optimizers": lambda folder: changed(folder, optimizers=[]),
    "another optimizer": lambda folder: changed(folder, optimizers=[{"state": {0: {"exp_avg": torch.zeros(7)}}}]),
    "counters": lambda folder: changed(folder, counters={"step": 10**6, "images_seen": 8, "updates": {}}),
    "a curve of NaN": lambda folder: changed(folder, curve=[{"loss": float("nan")}]),
    "snapshot gone": lambda folder: next((folder / "snapshots").iterdir()).unlink(),
    "snapshot empty": lambda folder: next((folder / "snapshots").iterdir()).write_bytes(b""),
    "a byte": lambda folder: flipped(folder / "last.ckpt"),
}


def changed(folder, **values):
    saved = torch.load(folder / "last.ckpt", weights_only=True)
    torch.save(saved | values, folder / "last.ckpt")


QUICK = ("half", "empty", "pickle", "another stage's", "a byte", "snapshot gone")


@pytest.mark.parametrize(
    "how", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in (*DAMAGE, *FOREIGN)]
)
def test_a_checkpoint_that_is_none_is_set_aside_and_training_ends_with_the_same_bytes(
    how, images, undisturbed, halfway, tmp_path, capsys
):
    shutil.copytree(halfway, tmp_path, dirs_exist_ok=True)
    folder, (whole, result) = tmp_path / "ae-0", undisturbed
    if how in DAMAGE:
        spoil(folder / "last.ckpt", how)
    else:
        FOREIGN[how](folder)
    again = run(small_ae(), images, folder)
    (note,) = again["notes"]
    assert str(folder / "last.ckpt") in note
    assert note.endswith("set aside, trained from the start")
    assert capsys.readouterr().err == f"{note}\n"
    assert (folder / "last.ckpt.damaged").exists()
    for key in ("images_seen", "updates", "curve", "facts"):
        assert again[key] == result[key], key
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.suffix in (".safetensors", ".jsonl")]
    assert len(names) == 6
    for name in names:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert run(small_ae(), images, folder)["notes"] == []  # its own checkpoint is whole


def test_another_methods_weights_are_one_line_that_names_both(tmp_path):
    ae, pca = small_ae(), Pca(PcaConfig.build({"components": 4}, "pca"), Spec((1, 32, 32), 32, 128))
    write_weights(tmp_path / "model.safetensors", pca)
    with pytest.raises(InputError, match="holds the weights of Pca; allowed: the weights of Ae; ") as error:
        read_weights(tmp_path / "model.safetensors", ae)
    assert "encoder" not in str(error.value)
    write_tensors(tmp_path / "model.safetensors", pca.state_dict())  # by a version that did not say whose they are
    with pytest.raises(InputError, match=r"holds other weights \(.*\); allowed: the weights of Ae") as error:
        read_weights(tmp_path / "model.safetensors", ae)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


# --- A stage that is done ------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path):
    """A store with a stage that is done."""
    from latent_ot.bench.identity import key_of

    job = {"role": "train", "name": "ae", "inputs": {}, "made_of": {}, "seed": 0}
    store, name = Store(tmp_path / "runs"), f"digits-ae-ci-s0-{key_of(job)}"
    folder = store.folder(name)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"job": job})
    for file in ("model.safetensors", "codes.safetensors", "snapshots/0001.safetensors"):
        write_tensors(folder / file, {"codes": normal(30, 4)})
    finish(folder, {"status": "done", "images_seen": 64})
    assert store.result(name, verify=True)["images_seen"] == 64
    return store, name


PARTS = ("result.json", "config.json", "model.safetensors", "codes.safetensors", "snapshots/0001.safetensors")


@pytest.mark.parametrize("how", [*DAMAGE, "missing", "flipped", "another's"])
@pytest.mark.parametrize("part", PARTS)
def test_a_stage_with_a_damaged_file_is_not_done_says_so_once_and_is_made_again(part, how, stage, capsys):
    store, name = stage
    path = store.folder(name) / part
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        flipped(path)
    elif how == "another's" and part.endswith("json"):
        path.write_text(path.read_text().replace("64", "65").replace("train", "refine"))
    elif how == "another's":
        write_tensors(path, {"codes": normal(30, 4, seed=1)})
    else:
        spoil(path, how)
    assert store.result(name, verify=True) is None
    said = capsys.readouterr().err
    if (part, how) != ("result.json", "missing"):
        assert str(path) in said
        assert said.endswith(": the stage is made again\n")
        assert said.count("\n") == 1
        assert store.result(name) is None
        assert not capsys.readouterr().err


def test_a_result_of_another_stage_and_one_without_its_files_is_not_done(stage, capsys):
    store, name = stage
    other = f"{name[:-4]}0000"
    shutil.copytree(store.folder(name), store.folder(other))
    assert store.result(other) is None
    assert "holds another stage" in capsys.readouterr().err
    for text in ("{}", "[]", "null", '{"status": "fine"}', '{"status": "done", "files": 3}', "[" * 100_000):
        (store.folder(name) / "result.json").write_text(text)
        assert store.result(name) is None, text
        assert str(store.folder(name) / "result.json") in capsys.readouterr().err


@pytest.mark.parametrize("how", [*DAMAGE, "another's"])
def test_cached_features_are_made_again(how, tmp_path, capsys):
    path, made = tmp_path / "cache" / "real.npz", FeatureSet(normal(5, 3), normal(5, 2))
    cached(path, lambda: made, FeatureSet)
    whole = path.read_bytes()
    if how == "another's":
        npz(path, features=np.zeros((5, 3), np.float32), logits=np.full((4, 2), np.nan, np.float32))
    else:
        spoil(path, how)
    assert torch.equal(cached(path, lambda: made, FeatureSet).features, made.features)
    said = capsys.readouterr().err
    assert str(path) in said
    assert said.endswith("made again\n")
    assert path.read_bytes()[:100] == whole[:100]
    assert torch.equal(cached(path, lambda: pytest.fail("kept"), FeatureSet).logits, made.logits)


@pytest.mark.parametrize("text", ["", "[]", '{"a": "b"}', '{"a": NaN}', "\udcff", '{"a": [1]'])
def test_what_was_remembered_and_is_damaged_is_found_again(text, tmp_path):
    (tmp_path / "known.json").write_text(text, errors="surrogateescape")
    assert remembered(tmp_path / "known.json", list) == {}
    assert remembered(tmp_path / "absent.json", list) == {}


# --- Records -------------------------------------------------------------------------------------------------------

RECORDS = {
    **{how: (lambda text, how=how: DAMAGE[how](text)) for how in DAMAGE},
    "not UTF-8": lambda text: text.replace(b"gldo", b"\xff\xfe"),
    "unknown status": lambda text: text.replace(b'"done"', b'"fine"'),
    "NaN": lambda text: text.replace(b"10.0", b"NaN"),
    "infinite": lambda text: text.replace(b"10.0", b"1e999"),
    "a list": lambda text: b"[" + text + b"]",
    "deep": lambda text: b"[" * 100_000,
    "a key twice": lambda text: text.replace(b'"seed": 0', b'"seed": {"a": 1}'),
}


@pytest.mark.one_quick
@pytest.mark.parametrize("how", RECORDS)
def test_a_damaged_record_is_named_once_left_out_and_not_published(how, board, raw, capsys, tmp_path):
    root = board(raw(), raw("glo"), raw("vae"))
    (path,) = (root / "results").glob("*--gldo--*.json")
    path.write_bytes(RECORDS[how](path.read_bytes()))
    for _ in range(2):
        assert [record.method for record in results.load(root)] == ["glo", "vae"]
    said = capsys.readouterr().err
    assert str(path) in said
    assert said.endswith(": left out\n")
    assert said.count("\n") == 1
    with pytest.raises(InputError, match=r"publish: .*gldo--ci") as error:
        refuse_damaged(root, "mnist5k", "", [], [])
    assert "\n" not in str(error.value)
    refuse_damaged(root, "mnist5k", "", ["glo"], [])  # of others it does not matter
    publish(choose_records(results.load(root, stored=True), "", "", ["glo"], []), root, tmp_path / "boards")
    assert [record.method for record in results.load(tmp_path / "boards")] == ["glo"]
    results.add(root, [raw()])  # made again, it is whole again
    assert [record.method for record in results.load(root)] == ["gldo", "glo", "vae"]


def test_a_copy_under_another_name_is_named_and_left_out(board, raw, capsys):
    root = board(raw())
    (path,) = (root / "results").glob("*.json")
    for name in ("copy.json", os.fsdecode(b"caf\xe9.json"), "two\nlines.json"):
        shutil.copy(path, path.with_name(name))
    assert [record.method for record in results.load(root)] == ["gldo"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all("holds the run 'mnist5k--gldo--ci" in line for line in said)


def test_a_damaged_record_of_the_boards_is_left_out_of_every_table(board, raw, monkeypatch, capsys, tmp_path):
    from latent_ot import cli

    root = board(raw(), raw("glo", stages=[], protocol=None, status="failed", reason="no"), raw("vae"))
    next((root / "results").glob("*--vae--*")).write_bytes(dump(raw("vae"))[:-30])
    for words in ("claims", "table gldo-table1 --dataset mnist5k", "leaderboard"):
        where = ["--leaderboards", str(root), "--store", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", ["latent-ot", *words.split(), *where])
        results._said.clear()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert stop.value.code in (0, None)
        assert "vae" in err
        assert "left out" in err
        assert out


# --- Data ----------------------------------------------------------------------------------------------------------


def dotted(file):
    return file.replace("-idx", ".idx")


NAMES = {
    "plain": lambda file: file,
    "dot": dotted,
    "gz": lambda file: f"{file}.gz",
    "dot, gz": lambda file: f"{dotted(file)}.gz",
    "folder": lambda file: f"{file}/{file}",
    "folder, dot": lambda file: f"{file}/{dotted(file)}",
    "folder of .gz, gz": lambda file: f"{file}.gz/{file}.gz",
    "capitals": lambda file: f"{file.upper()}.GZ",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST"])
def test_mnist_is_found_under_the_names_that_people_have(name, place, tmp_path):
    rng = np.random.default_rng(0)
    for split in FILES.values():
        for file, shape in zip(split, ((30, 28, 28), (30,)), strict=True):
            path = tmp_path / place / NAMES[name](file)
            path.parent.mkdir(parents=True, exist_ok=True)
            data = idx(rng.integers(0, 3, shape, dtype=np.uint8))
            path.write_bytes(gzip.compress(data) if "gz" in name or name == "capitals" else data)
    data = load("mnist28", tmp_path)
    assert data.shape == (1, 28, 28)
    assert data.content_id == load("mnist28", tmp_path, verify=True).content_id


def test_a_name_does_not_tell_whether_a_file_is_packed(tmp_path):
    array = np.arange(12, dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(idx(array)))
    for file in ("plain.gz", "packed"):
        assert np.array_equal(read_idx(tmp_path / file), array)


LINES = "".join(f"{i:06d}.jpg {0 if i <= 8 else 2}\n" for i in range(1, 11))


@pytest.mark.parametrize("form", [".jpg", ".png", ".JPG"])
@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("text", [LINES.encode("utf-8-sig"), LINES.encode("utf-16"), LINES.encode()])
def test_faces_are_all_found_whatever_the_partitions_mark_and_the_images_form(form, archive, text, tmp_path):
    root = tmp_path / "celeba"
    root.mkdir()
    (root / "list_eval_partition.txt").write_bytes(text)
    kind = "JPEG" if form.lower() == ".jpg" else "PNG"
    faces = {f"img_align_celeba/{i:06d}{form}": png(20 * i, (178, 218), kind) for i in range(1, 11)}
    if archive:
        with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as file:
            for name, data in faces.items():
                file.writestr(name, data)
    for name, data in faces.items() if not archive else ():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    found = load("celeba64", tmp_path)
    assert (len(found.train), len(found.test)) == (8, 2)
    assert [round(image.mean() / 20) for image in found.train] == [*range(1, 9)]


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped-abs", "cifar-10-batches-py/../../escaped"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(name, kind, tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(name if kind == "file" else "cifar-10-batches-py")
        member.type, member.linkname = (tarfile.REGTYPE, "") if kind == "file" else (tarfile.SYMTYPE, name)
        archive.addfile(member)
    before = {*tmp_path.parent.iterdir()}
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz' is damaged|missing or damaged") as error:
        load("cifar10", tmp_path)
    assert "\n" not in str(error.value)
    assert {*tmp_path.parent.iterdir()} == before
    assert not os.path.lexists("/tmp/escaped-abs")


def test_names_of_any_bytes_links_and_closed_folders_are_read_or_told(tmp_path, caplog):
    root = tmp_path / os.fsdecode(b"pictures-\xe9")
    (root / "deep").mkdir(parents=True)
    for i, name in enumerate((b"caf\xe9.png", b"two\nlines.png", b"deep/\xff.png", "ü.png".encode(), b" .png")):
        (root / os.fsdecode(name)).write_bytes(png(40 * i))
    for i in range(7):
        (root / f"gone-{i}.png").symlink_to(tmp_path / "nowhere")
    (root / "again").symlink_to(root / "deep")
    (root / "loop").symlink_to(root)
    (root / "linked.png").symlink_to(root / "ü.png")
    inside, left = files(root)
    assert len(inside) == 6
    data = load(f"folder:{root}", tmp_path / "data")
    assert len(data.train) + len(data.test) == 6
    assert "7 links lead nowhere: gone-0.png, gone-1.png, gone-2.png, gone-3.png, gone-4.png and 2 more" in caplog.text
    assert "2 links lead to folders, and are not followed: again, loop" in caplog.text
    assert load(f"folder:{root}", tmp_path / "data").content_id == data.content_id
    assert read_images(root, 32).notes == tuple(left)


def test_shown_paths_are_one_line_that_any_terminal_prints():
    assert shown(os.fsdecode(b"a\xff\n\x1b[31mb")) == r"a\xff\n\x1b[31mb"
    assert shown("ü").encode() == "ü".encode()


def test_home_is_where_it_is_whoever_writes_it(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.setenv("HOME", str(tmp_path))
    assert home(Path("~/runs")) == tmp_path / "runs"
    assert home(Path("a~/b")) == Path("a~/b")
    with pytest.raises(InputError, match="no home folder of that name"):
        home(Path("~nobody-of-that-name/x"))


def test_the_packages_own_data_and_weights_are_named_too(tmp_path, monkeypatch):
    shutil.copytree(budgets.benchmarks(), tmp_path / "benchmarks", ignore=shutil.ignore_patterns("*.py", "*.json"))
    monkeypatch.setattr(budgets, "benchmarks", lambda: tmp_path / "benchmarks")
    for name in ("budgets.yaml", "rates.yaml"):
        (tmp_path / "benchmarks" / name).write_text("a: [")
    for read in (budgets.settings, budgets.rates):
        read.cache_clear()
        with pytest.raises(InputError, match=r"benchmarks/\w+\.yaml' is damaged"):
            read()
    with pytest.raises(InputError, match=r"own\.\w+' is missing"):
        load_evaluator("own", tmp_path / "own.safetensors")
    (tmp_path / "own.safetensors").write_bytes(b"x")
    card = {"sha256": __import__("hashlib").sha256(b"x").hexdigest(), "architecture": {"channels": 1}}
    (tmp_path / "own.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"own\.safetensors' is damaged"):
        load_evaluator("own", tmp_path / "own.safetensors")
    (tmp_path / "own.json").write_text(json.dumps(card | {"architecture": {"channels": "many"}}))
    with pytest.raises(InputError, match=r"own\.json' is damaged"):
        load_evaluator("own", tmp_path / "own.safetensors")


@pytest.mark.slow
def test_a_folder_of_a_hundred_thousand_files_is_listed_whole(tmp_path):
    for i in range(100_000):
        (tmp_path / f"{i}.png").touch()
    assert len(files(tmp_path)[0]) == 100_000
