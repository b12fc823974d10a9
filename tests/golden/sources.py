"""A few pixels of every data source; those that read files read tiny ones, written here by formula."""

import hashlib
import pickle
import struct
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from golden.arrays import statistics
from PIL import Image

from latent_ot.datasets.base import load


def pixels(*shape, step=7):
    """Return bytes by formula, uint8 of this shape."""
    count = np.arange(int(np.prod(shape)), dtype=np.int64)
    return ((count * step + (count // 13) * 5 + (count * count) // 31) % 256).astype(np.uint8).reshape(shape)


def summary(name, folder):
    """Return ids, shapes and pixels of a data set."""
    data = load(name, folder)
    labels = [] if data.train_labels is None else data.train_labels[:8].tolist()
    floats = {key: statistics(np.asarray(getattr(data, key), np.float64)) for key in ("train", "test")}
    sizes = [*data.train.shape, *data.test.shape]
    # Points come from transcendental functions, whose last digits, hence whose hash, are the processor's.
    content = data.content_id if data.kind == "image" else ""
    return {"id": data.id, "content": content, "sizes": sizes, "labels": labels, **floats}


def idx(folder):
    """Write the four IDX files of MNIST and Fashion-MNIST."""
    for root in ("MNIST", "FashionMNIST"):
        raw = folder / root / "raw"
        raw.mkdir(parents=True)
        for split, count in (("train", 12), ("t10k", 5)):
            for kind, array in (
                ("images-idx3", pixels(count, 28, 28, step=len(root))),
                ("labels-idx1", np.arange(count, dtype=np.uint8) % 10),
            ):
                head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
                (raw / f"{split}-{kind}-ubyte").write_bytes(head + array.tobytes())


def cifar(folder):
    """Write the python batches of CIFAR-10; return the checksums that they have."""
    root, sums = folder / "cifar-10-batches-py", {}
    root.mkdir()
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        data = pixels(2, 3072, step=11 + number)
        (root / name).write_bytes(pickle.dumps({"data": data, "labels": [number, 9 - number]}))
        sums[name] = hashlib.md5((root / name).read_bytes()).hexdigest()
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    sums["batches.meta"] = hashlib.md5((root / "batches.meta").read_bytes()).hexdigest()
    return sums


def faces(folder):
    """Write six aligned faces and their partition."""
    root = folder / "celeba" / "img_align_celeba"
    root.mkdir(parents=True)
    for number in range(6):
        Image.fromarray(pixels(218, 178, 3, step=3 + number)).save(root / f"{number:06d}.jpg", "PNG")  # lossless
    lines = (f"{number:06d}.jpg {part}\n" for number, part in enumerate("000122"))
    (folder / "celeba" / "list_eval_partition.txt").write_text("".join(lines))


def large_faces(folder):
    """Write twelve faces, of both sizes that CelebA-HQ comes in."""
    (folder / "celeba_hq").mkdir()
    for number in range(12):
        size = 512 if number < 2 else 256
        Image.fromarray(pixels(size, size, 3, step=5 + number)).save(folder / "celeba_hq" / f"{number}.png")


def bedrooms(folder):
    """Write the export of twelve photographs."""
    for number in range(12):
        name = hashlib.sha1(str(number).encode()).hexdigest()
        path = folder.joinpath("lsun", "bedroom_train", *name[:2], f"{name}.webp")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(140, 170, 3, step=9 + number)).save(path, "WEBP", lossless=True)


def mixed(folder):
    """Write images of several sizes and modes."""
    (folder / "own").mkdir()
    for number in range(12):
        image = Image.fromarray(pixels(40 + number, 50, 4, step=3 + number), "RGBA")
        (image if number % 2 else image.convert("L")).save(folder / "own" / f"{number:02d}.png")


def packaged(*names):
    """Return the summaries of sets that need no files."""
    return written(lambda folder: None, *names)


def written(write, *names):
    """Return the summaries of sets read from the files that ``write`` leaves in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return {name: summary(name, Path(folder)) for name in names}


def from_batches():
    """Return the summary of CIFAR-10's batches, whose checksums torchvision asks for."""
    from torchvision.datasets import CIFAR10

    with tempfile.TemporaryDirectory() as folder:
        sums = cifar(Path(folder))
        meta = {**CIFAR10.meta, "md5": sums.pop("batches.meta")}
        test = [["test_batch", sums.pop("test_batch")]]
        with patch.multiple(CIFAR10, train_list=[list(row) for row in sums.items()], test_list=test, meta=meta):
            return {"cifar10": summary("cifar10", Path(folder))}


def from_folder():
    """Return the summaries of anyone's images at two sizes."""
    with tempfile.TemporaryDirectory() as folder:
        mixed(Path(folder))
        names = {"32": f"folder:{folder}/own", "64": f"folder:{folder}/own@64"}
        return {size: summary(name, Path(folder) / "data") for size, name in names.items()}


CROPS = ("celeba64", "celeba64_crop160", "celeba64_crop140", "celeba64_crop108", "celeba128")
SOURCES = {
    "digits": lambda: packaged("digits"),
    "mnist5k": lambda: packaged("mnist5k", "mnist5k_500"),
    "toy": lambda: packaged("moons", "circles", "ring8", "spiral20", "grid25"),
    "mnist": lambda: written(idx, "mnist", "mnist28"),
    "fashion_mnist": lambda: written(idx, "fashion_mnist", "fashion_mnist28"),
    "cifar10": from_batches,
    "celeba": lambda: written(faces, *CROPS),
    "celeba_hq": lambda: written(large_faces, "celeba_hq256"),
    "lsun_bedroom": lambda: written(bedrooms, "lsun_bedroom64", "lsun_bedroom128"),
    "folder": from_folder,
}
