"""Tiny made-up original files of every named data set that is read from some, where a user would put them."""

import gzip
import hashlib
import io
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from latent_ot.datasets.base import names, sources

ROW, COLUMN = np.mgrid[0:218, 0:178]
IMAGES = [name for name in names() if sources()[name].kind == "image"]
FILED = [name for name in IMAGES if sources()[name].missing(name, Path("nowhere"))]
PARTS = "000000111222"  # twelve faces: six train, three validation, three test


def idx(path, array, pack=False):
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if pack else content)


def write_idx(raw, seed=0):
    """The four IDX files with 40 training and 10 test images; the training files are gzipped."""
    images = np.random.default_rng(seed).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    labels = np.arange(50, dtype=np.uint8) % 10
    idx(raw / "train-images-idx3-ubyte.gz", images[:40], pack=True)
    idx(raw / "train-labels-idx1-ubyte.gz", labels[:40], pack=True)
    idx(raw / "t10k-images-idx3-ubyte", images[40:])
    idx(raw / "t10k-labels-idx1-ubyte", labels[40:])
    return images, labels


def write_cifar(folder, monkeypatch, seed=0):
    """Six batches of four images, whose sums torchvision is told."""
    from torchvision.datasets import CIFAR10

    planes, sums = np.random.default_rng(seed).integers(0, 256, (24, 3, 32, 32), dtype=np.uint8), {}
    folder.mkdir(exist_ok=True)
    parts = {f"data_batch_{i}": slice(4 * i - 4, 4 * i) for i in range(1, 6)} | {"test_batch": slice(20, 24)}
    for name, rows in parts.items():
        content = pickle.dumps({"data": planes[rows].reshape(4, -1), "labels": [0, 1, 2, 3]})
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, sums[n]] for n in sums if n != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": hashlib.md5(meta).hexdigest()})
    return planes


def face(number):
    """An image that is its rows in green, its columns in red and its number in blue."""
    return np.stack([COLUMN, ROW, np.full_like(ROW, number)], axis=-1).astype(np.uint8)


def write_faces(folder, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(PARTS)):
        image = Image.fromarray(face(number + 20 * seed))
        image.save(folder / f"{number:06d}.jpg", "PNG")  # lossless; Pillow goes by content


def write_partition(path, parts=PARTS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{number:06d}.jpg {part}\n" for number, part in enumerate(parts)))


def write_celeba(folder, seed=0):
    write_faces(folder / "img_align_celeba", seed)
    write_partition(folder / "list_eval_partition.txt")


def write_squares(folder, names, size=256, seed=0):
    """Plain squares, each in the red of its number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (size, size), (number + 50 * seed, 0, 0)).save(folder / name)


def bedrooms(count=20, size=(90, 70), seed=0):
    """LSUN's keys and files: name -> WebP."""
    rng, found = np.random.default_rng(seed), {}
    for number in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(buffer, "WEBP", lossless=True)
        found[hashlib.sha1(str(number).encode()).hexdigest()] = buffer.getvalue()
    return found


def export(folder, files):
    for key, content in files.items():
        path = folder.joinpath(*key[:6], f"{key}.webp")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


WRITERS = {
    "Mnist": lambda data_dir, monkeypatch, seed: write_idx(data_dir / "MNIST" / "raw", seed),
    "FashionMnist": lambda data_dir, monkeypatch, seed: write_idx(data_dir / "FashionMNIST" / "raw", seed),
    "Cifar10": lambda data_dir, monkeypatch, seed: write_cifar(data_dir / "cifar-10-batches-py", monkeypatch, seed),
    "CelebA": lambda data_dir, monkeypatch, seed: write_celeba(data_dir / "celeba", seed),
    "CelebAHQ": lambda data_dir, monkeypatch, seed: write_squares(
        data_dir / "celeba_hq", [f"{i:05d}.png" for i in range(20)], 512, seed
    ),
    "LsunBedroom": lambda data_dir, monkeypatch, seed: export(
        data_dir / "lsun" / "bedroom_train", bedrooms(20, (150, 140), seed)
    ),
}


def lay_out(name, data_dir, monkeypatch, seed=0):
    """Write a named set's originals; a new source that reads files has its own row in ``WRITERS``."""
    data_dir.mkdir(exist_ok=True)
    source = sources()[name]
    if type(source).__name__ in WRITERS:
        WRITERS[type(source).__name__](data_dir, monkeypatch, seed)
    assert source.missing(name, data_dir) is None, f"tests/originals.py has no files for {type(source).__name__}"


def lay_out_arrays(folder):
    """The prepared form as a user might write it: sevens."""
    for split, count in (("train", 6), ("test", 2)):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "images.npy", np.full((count, 32, 32, 3), 7, np.uint8))


def raise_version(name, patch, to=2):
    patch.setattr(type(sources()[name]), "version", to)


def same(one, other):
    return one.content_id == other.content_id and np.array_equal(one.train, other.train)
