"""What lacks of a downloadable set is fetched by torchvision, whole and checked; without network it is one line."""

import gzip
import hashlib
import io
import pickle
import sys
import tarfile
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, FashionMNIST

from latent_ot import cli
from latent_ot.datasets.base import available, load
from latent_ot.datasets.idx import FILES
from latent_ot.errors import InputError, StoreError


def idx(array):
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Response(io.BytesIO):
    """What a server answers; it goes silent where ``cut`` says so."""

    def __init__(self, url, data, cut=None):
        super().__init__(data)
        self.url, self.length, self.cut = url, len(data), cut

    def read(self, size=-1):
        if self.cut is not None and self.tell() >= self.cut:
            raise TimeoutError("timed out")
        return super().read(size if self.cut is None else min(size, self.cut))


@pytest.fixture
def server(monkeypatch):
    """Serve files, by their name; what is changed here is served so."""
    files = {}

    def answer(request, *args, **kwargs):
        name = request.full_url.rpartition("/")[2]
        if not isinstance(files.get(name), tuple):
            files[name] = (files[name], None)
        return Response(request.full_url, *files[name])

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return files


@pytest.fixture
def fashion(server, monkeypatch):
    g = np.random.default_rng(0)
    for count, names in zip((30, 10), FILES.values(), strict=True):
        arrays = (g.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10)
        server |= {f"{name}.gz": idx(array) for name, array in zip(names, arrays, strict=True)}
    monkeypatch.setattr(FashionMNIST, "resources", [(name, md5(data)) for name, data in server.items()])
    return server


@pytest.fixture
def cifar(server, monkeypatch):
    def batch(count):
        return pickle.dumps({"data": np.zeros((count, 3072), np.uint8), "labels": [0] * count})

    parts = {**{f"data_batch_{i}": batch(4) for i in range(1, 6)}, "test_batch": batch(4)}
    parts["batches.meta"] = pickle.dumps({"label_names": ["aeroplane"]})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in parts.items():
            entry = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    server[CIFAR10.filename] = packed.getvalue()
    sums = [[name, md5(data)] for name, data in parts.items()]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:6])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": sums[6][1]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(packed.getvalue()))
    return server


def test_a_load_fetches_what_is_missing_with_a_bar_and_a_second_one_nothing(fashion, tmp_path, capsys):
    data = load("fashion_mnist", tmp_path)
    assert (len(data.train), len(data.test)) == (30, 10)
    bars = capsys.readouterr().err
    assert bars.count("100%") == 4
    assert "B/s" in bars  # and before it the time left
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    fashion.clear()
    assert available(tmp_path)["fashion_mnist"] == "ready"
    assert load("fashion_mnist", tmp_path).content_id == data.content_id


def test_an_archive_is_fetched_and_unpacked(cifar, tmp_path):
    assert len(load("cifar10", tmp_path / "new").train) == 20
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {CIFAR10.base_folder, CIFAR10.filename}


SPOILT = {
    "another content": (lambda data: (data[:-1] + b"?", None), "File not found or corrupted"),
    "half a file": (lambda data: (data[: len(data) // 2], None), "File not found or corrupted"),
    "a server gone silent": (lambda data: (data, len(data) // 2), "timed out"),
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_what_is_not_whole_is_not_kept_and_said_in_one_line(name, how, request, tmp_path):
    server = request.getfixturevalue("fashion" if name == "fashion_mnist" else "cifar")
    spoil, why = SPOILT[how]
    last = list(server)[-1]
    server[last] = spoil(server[last])
    with pytest.raises(
        InputError, match=f"data set '{name}': .* in .*; put .* there, or run .*not be fetched: .*{why}"
    ) as error:
        load(name, tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_command_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path):
    def offline(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    for words in (
        "bench --dataset mnist",
        "prepare cifar10 --download",
        "table gldo-table2 --run --dataset fashion_mnist",
    ):
        monkeypatch.setattr(sys, "argv", ["latent-ot", *words.split()])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "put " in err
        assert "Temporary failure in name resolution" in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_faces_and_bedrooms_are_ones_own_to_fetch(server, tmp_path):
    for name in ("celeba64_crop160", "celeba_hq256", "lsun_bedroom64"):
        with pytest.raises(InputError, match=f"data set '{name}': "):
            load(name, tmp_path)
    assert server == {}


def test_a_folder_that_takes_no_files_is_one_line(fashion, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"data folder .* cannot be written"):
        load("fashion_mnist", tmp_path / "file" / "data")
