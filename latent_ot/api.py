"""The suite in Python, for a notebook: the same store, keys and numbers as ``latent-ot`` on the command line.

import latent_ot as lo

run = lo.train("ae_ot_sd", dataset="mnist5k", budget="ci")
x = run.sample(64, seed=0)
run.evaluate()

``lo.evaluate(images, dataset="mnist5k")`` scores images of any other origin.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from latent_ot.errors import Declined, InputError, choose, nearest
from latent_ot.record import Record, checked

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.catalog import Catalog
    from latent_ot.methods.base import Method, Pair

Form = Literal["uint8", "float"]


def train(
    method: str,
    dataset: Any = "",
    budget: str = "ci",
    seed: int = 0,
    *,
    test: Any = None,
    subset: int | None = None,
    settings: Mapping[str, Any] | None = None,
    evaluator: str | None = None,
    data_dir: Path | str = "data",
    store: Path | str = "runs",
    gpus: int | None = None,
    threads: int = 1,
    plugins: Sequence[Path | str] = (),
) -> "Run":
    """Train a method and return it; what is trained already is found, and what was stopped goes on.

    Args:
        method: a name, or representation+sampler; ``latent-ot list`` has them all.
        dataset: a data set's name, ``folder:PATH``, a ``Path``, or images (see ``datasets.own.as_images``), which are
            kept under ``data_dir``; default: mnist5k.
        budget: ci, short or paper (``benchmarks/budgets.yaml``).
        seed: of the run.
        test: held-out images, where ``dataset`` is images; default: one in ten of those.
        subset: train on so many of the set's images.
        settings: ``{"gldo.eps": 0.3}``; ``latent-ot show METHOD`` has them all.
        evaluator: the feature network that scores; default: the data set's own.
        data_dir: where data sets lie.
        store: where trained stages and their records live.
        gpus: to use; default: all of this machine, 0: the CPU.
        threads: of the CPU, for each stage; sums depend on them.
        plugins: Python files with methods, samplers or other parts of your own.

    Raises:
        InputError: for an unknown name, with the nearest, or a setting, an array or a file that cannot be used.
    """
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.plan import parse_overrides
    from latent_ot.bench.request import Request
    from latent_ot.budgets import settings as defaults
    from latent_ot.datasets import own

    data_dir, store = Path(data_dir), Path(store)
    if isinstance(dataset, Path):
        dataset = f"folder:{dataset}"
    if not isinstance(dataset, str):
        dataset = own.keep(dataset, test, data_dir)
    elif test is not None:
        raise InputError(f"test images with the data set '{dataset}'; allowed: with images in its place")
    request = Request(
        dataset or defaults()["defaults"]["dataset"], [method], [seed], budget, data_dir, store, subset,
        parse_overrides([f"{name}={json.dumps(value)}" for name, value in (settings or {}).items()]),
        [Path(plugin) for plugin in plugins], evaluator, gpus=gpus, threads=threads,
    )  # fmt: skip
    benchmark = Benchmark(request)
    folders = benchmark.train_only(method, seed)
    return Run(folders[-1], benchmark)


def load(path: Path | str) -> "Run":
    """Return what was trained in a stage's folder, ``STORE/stages/NAME``, and in those that it builds on.

    Raises:
        InputError: if that is no folder of a trained stage, or one of those that it builds on is not there.
    """
    return Run(Path(path))


def evaluate(
    images: Any,
    dataset: str = "",
    evaluator: str | None = None,
    *,
    seed: int = 0,
    data_dir: Path | str = "data",
    store: Path | str = "runs",
    plugins: Sequence[Path | str] = (),
) -> dict[str, float]:
    """Score images that were made elsewhere as if a method of the suite had drawn them, and return their metrics.

    Args:
        images: as ``datasets.own.as_images`` takes them, of the data set's shape; or a folder of any images, as a path,
            which are brought to it. Of more than the protocol's number the first ones count.
        dataset: the set that they are to resemble; default: mnist5k.
        evaluator: the feature network that scores; default: the data set's own.
        seed: of the clusterings behind precision and recall (F8).
        data_dir: where data sets lie.
        store: where the features of real images are kept.
        plugins: Python files with metrics, evaluators or other parts of your own.

    Raises:
        InputError: for fewer images than the protocol's number, other shapes, an unknown name, or 2-D points.
    """
    import torch

    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request
    from latent_ot.bench.scorer import Scorer
    from latent_ot.budgets import settings

    name, plugged = dataset or settings()["defaults"]["dataset"], [Path(plugin) for plugin in plugins]
    request = Request(name, data_dir=Path(data_dir), store=Path(store), evaluator=evaluator, plugins=plugged)
    benchmark = Benchmark(request)
    if benchmark.dataset.kind != "image":
        raise InputError(f"evaluate scores images; {benchmark.dataset.id} holds 2-D points")
    found, rules = _given(images, benchmark.dataset.shape), benchmark.rules
    if len(found) < rules.n:
        raise InputError(f"{len(found)} images; allowed: {rules.n} or more, as many as {rules.id} scores")
    scorer = Scorer(benchmark.dataset, rules.model_dump(), None, benchmark.store.cache, torch.device("cpu"))
    return scorer.score(found[: rules.n], seed)[0]


@dataclass(frozen=True)
class Run:
    """One trained method: draw from it, reconstruct, score it.

    ``folder``: of the stage that was trained last. ``benchmark``: as ``train`` made it; ``evaluate`` needs it.
    """

    folder: Path
    benchmark: "Benchmark | None" = None

    def __post_init__(self) -> None:
        _ = self.folders

    @cached_property
    def folders(self) -> dict[str, Path]:
        """Where the trained stages lie, by role."""
        return _folders(self.folder)

    @cached_property
    def job(self) -> dict[str, Any]:
        """What was trained, with its resolved settings."""
        return json.loads((self.folder / "config.json").read_text())["job"]

    @cached_property
    def catalog(self) -> "Catalog":
        """Where the classes of its stages are found."""
        from latent_ot.catalog import Catalog

        return self.benchmark.catalog if self.benchmark else Catalog()

    @cached_property
    def model(self) -> "Method | Pair":
        """The model, in eval mode on the CPU."""
        import torch

        from latent_ot.bench.load import load_model

        return load_model(self.catalog, self.folders, torch.device("cpu"))

    def sample(self, n: int = 64, seed: int = 0, form: Form = "uint8") -> "Tensor":
        """Draw n images (n, C, H, W), uint8 or float32 in [0, 1]; of a 2-D set points (n, 2).

        With the run's own seed they are those that were scored.

        Raises:
            InputError: for n < 1, or another form.
        """
        from latent_ot.bench.sampling import draw

        if n < 1:
            raise InputError(f"n = {n}; allowed: 1 or more")
        return _as(draw(self.model, n, seed), form)

    def encode(self, images: Any) -> "Tensor":
        """Return codes (n, d) of images, as ``datasets.own.as_images`` takes them.

        Raises:
            InputError: if the method has no encoder, with the reason, or for images of another shape.
        """
        import torch

        with torch.no_grad():
            return self._able(lambda: self.model.encode(self._images(images)))

    def decode(self, codes: "Tensor", form: Form = "uint8") -> "Tensor":
        """Return images (n, C, H, W) of codes (n, d).

        Raises:
            InputError: if the method has no decoder, with the reason.
        """
        import torch

        from latent_ot.bench.sampling import quantise

        with torch.no_grad():
            return _as(quantise(self._able(lambda: self.model.decode(torch.as_tensor(codes)))), form)

    def reconstruct(self, images: Any, steps: int = 200, form: Form = "uint8") -> "Tensor":
        """Return reconstructions (n, C, H, W) of unseen images.

        Args:
            images: as ``datasets.own.as_images`` takes them.
            steps: of Adam, where codes are found by a search.
            form: uint8, or float32 in [0, 1].

        Raises:
            InputError: if the method cannot reconstruct, with the reason, or for images of another shape.
        """
        import torch

        from latent_ot.bench.load import decoding
        from latent_ot.bench.reconstruct import searchable
        from latent_ot.bench.sampling import rebuild

        model = searchable(self.catalog, decoding(self.folders), torch.device("cpu"))
        return _as(self._able(lambda: rebuild(model, self._images(images), self.job["seed"], steps)).images, form)

    def picture(self, n: int = 64, seed: int = 0) -> "Image":
        """Return n samples as one Pillow image, which a notebook shows."""
        from PIL import Image

        from latent_ot.pictures.images import grid

        samples = self.sample(n, seed)
        if samples.ndim == 2:
            raise InputError("picture shows images; these samples are 2-D points")
        return Image.fromarray(grid(samples.permute(0, 2, 3, 1).numpy()))

    def evaluate(self) -> dict[str, float]:
        """Score the run under its data set's protocol and return its metrics; its record is kept in the store.

        Raises:
            InputError: if it cannot be scored, with the reason, or for a run that ``load`` returned.
        """
        record = self.record()
        if record.status != "done":
            raise InputError(f"{record.method}: {record.status}: {record.reason}")
        return dict(record.metrics)

    def record(self) -> Record:
        """Score the run, and return all that is known of it."""
        if self.benchmark is None:
            raise InputError("evaluate: this run was loaded from its folder, without its data; allowed: one of `train`")
        records, stopped = self.benchmark.execute()
        if stopped:
            raise KeyboardInterrupt
        return checked(records[-1])

    def _images(self, images: Any) -> "Tensor":
        from latent_ot.stage import as_float

        shape = json.loads((self.folders["train"] / "config.json").read_text())["spec"]["shape"]
        return as_float(_given(images, tuple(shape)))

    @staticmethod
    def _able(call: Any) -> Any:
        try:
            return call()
        except Declined as reason:
            raise InputError(str(reason)) from None


def _given(images: Any, shape: tuple[int, ...]) -> "Tensor":
    """Return someone's images, or those in a folder, as uint8 (n, C, H, W) of a set of ``shape``."""
    import numpy as np

    from latent_ot.bench.train import as_tensor
    from latent_ot.datasets.folder import read_like
    from latent_ot.datasets.own import as_images

    if isinstance(images, str | Path):
        folder = Path(str(images).removeprefix("folder:")).expanduser()
        images = np.stack(list(read_like(folder, shape)[0].values()))
    found = as_tensor(as_images(images).copy())
    if tuple(found.shape[1:]) != shape:
        raise InputError(f"images of shape {tuple(found.shape[1:])}; allowed: {shape}, that of the real ones")
    return found


def _as(images: "Tensor", form: str) -> "Tensor":
    from latent_ot.stage import as_float

    return as_float(images) if choose("form", form, ("uint8", "float")) == "float" else images


def _folders(last: Path) -> dict[str, Path]:
    """Return where the stages of a method lie, by role, from the folder of that which was trained last.

    Raises:
        InputError: if it, or one that it builds on, is not there or not trained.
    """
    job = _job(last)
    found = {}
    for role, key in job["inputs"].items():
        there = sorted(last.parent.glob(f"*-{key}"))
        if not there:
            raise InputError(f"'{last}' builds on a stage with the key {key}, which is not in '{last.parent}'")
        found[role] = there[0]
        _job(there[0])
    return {**found, job["role"]: last}


def _job(folder: Path) -> dict[str, Any]:
    try:
        status = json.loads((folder / "result.json").read_text())["status"]
        job = json.loads((folder / "config.json").read_text())["job"]
    except (OSError, ValueError, KeyError, TypeError):
        status, job = None, {}
    if status != "done" or job.get("role") not in ("train", "sampler", "refine"):
        near = nearest(folder.name, [path.name for path in folder.parent.glob("*") if (path / "result.json").exists()])
        raise InputError(f"'{folder}' holds no trained stage; allowed: a folder under STORE/stages that is done{near}")
    return job
