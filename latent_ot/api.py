"""The suite in Python, for a notebook: the same store, keys and numbers as ``latent-ot`` on the command line.

import latent_ot as lo

run = lo.train("ae_ot_sd", dataset="mnist5k", budget="ci")
x = run.sample(64, seed=0)
run.evaluate()

``lo.evaluate(images, dataset="mnist5k")`` scores images of any other origin.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from latent_ot.bench.request import SEEDS
from latent_ot.errors import Declined, InputError, RunFailed, choose, nearest, within
from latent_ot.files import home
from latent_ot.record import DATA, Record, checked

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.catalog import Catalog
    from latent_ot.methods.base import Method, Pair

Form = Literal["uint8", "float"]
P = ParamSpec("P")
R = TypeVar("R")


def train(
    method: str,
    dataset: Any = "",
    budget: str = "ci",
    seed: int = 0,
    *,
    test: Any = None,
    subset: int | None = None,
    settings: Mapping[str, Any] | None = None,
    evaluator: str | Sequence[str] | None = None,
    data_dir: Path | str = "data",
    store: Path | str = "runs",
    gpus: int | None = None,
    threads: int = 1,
    devices_per_run: int = 1,
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
        evaluator: the feature network that scores, or several, a record each; default: the data set's own.
        data_dir: where data sets lie.
        store: where trained stages and their records live.
        gpus: to use; default: all of this machine, 0: the CPU.
        threads: of the CPU, for each stage; sums depend on them.
        devices_per_run: GPUs, or on a CPU processes, that train it together; sums depend on them.
        plugins: Python files with methods, samplers or other parts of your own.

    Raises:
        InputError: for an unknown name, with the nearest, or a setting, an array or a file that cannot be used.
        RunFailed: if the training failed or diverged, with the reason.
        KeyboardInterrupt: if the user stopped it; the same call goes on from there.
    """
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request
    from latent_ot.bench.settings import by_part
    from latent_ot.budgets import settings as defaults
    from latent_ot.datasets import own

    data_dir, store = home(Path(data_dir)), home(Path(store))
    if isinstance(dataset, Path):
        dataset = f"folder:{dataset}"
    if not isinstance(dataset, str):
        dataset = own.keep(dataset, test, data_dir)
    elif test is not None:
        raise InputError(f"test images with the data set '{dataset}'; allowed: with images in its place")
    if settings is not None and not isinstance(settings, Mapping):
        raise InputError(f"settings {settings!r}; allowed: {{'NAME.KEY': value}}, e.g. {{'gldo.eps': 0.3}}")
    request = Request(
        dataset or defaults()["defaults"]["dataset"], [method], [seed], budget, data_dir, store, subset,
        by_part((settings or {}).items()),
        [home(Path(plugin)) for plugin in plugins], _names(evaluator), gpus=gpus, threads=threads,
        devices_per_run=devices_per_run,
    )  # fmt: skip
    benchmark = Benchmark(request)
    folders = benchmark.train_only(method, seed)
    return Run(folders[-1], benchmark)


def load(path: Path | str) -> "Run":
    """Return what was trained in a stage's folder, ``STORE/stages/NAME``, and in those that it builds on.

    Raises:
        InputError: if that is no folder of a trained stage, or one of those that it builds on is not there.
    """
    return Run(home(Path(path)))


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
        images: as ``datasets.own.as_images`` takes them, of the data set's shape; or, as a path, a file .npz or .npy of
            such, or a folder of any images, which are brought to it. Of more than the protocol asks for the first ones.
        dataset: the set that they are to resemble; default: mnist5k.
        evaluator: the feature network that scores; default: the data set's own.
        seed: of the clusterings behind precision and recall (F8).
        data_dir: where data sets lie.
        store: where the features of real images are kept.
        plugins: Python files with metrics, evaluators or other parts of your own.

    Raises:
        InputError: for fewer images than the protocol's number, other shapes, an unknown name, or 2-D points.
    """
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request
    from latent_ot.bench.score import enough, figures, read
    from latent_ot.budgets import settings
    from latent_ot.report.groups import gathered

    name, plugged = dataset or settings()["defaults"]["dataset"], [home(Path(plugin)) for plugin in plugins]
    data_dir, store = home(Path(data_dir)), home(Path(store))
    asked = Request(name, seeds=[seed], data_dir=data_dir, store=store, evaluators=_names(evaluator), plugins=plugged)
    benchmark = Benchmark(asked)
    if benchmark.dataset.kind != "image":
        raise InputError(f"evaluate scores images; {benchmark.dataset.id} holds 2-D points")
    found, rules = read(images, benchmark.dataset.shape), benchmark.protocols[0]
    made = figures(benchmark, rules, enough(found, rules), seed)
    reasons: dict[str, str] = made["reasons"]
    for reason, keys in gathered((why, key) for key, why in reasons.items()).items():
        logging.getLogger("latent_ot").warning("no %s: %s", ", ".join(keys), reason)
    return made["metrics"]


def _names(evaluator: str | Sequence[str] | None) -> Sequence[str]:
    return [evaluator] if isinstance(evaluator, str) else evaluator or ()


def _as_trained(of: "Callable[Concatenate[Run, P], R]") -> "Callable[Concatenate[Run, P], R]":
    """Let a run work with the threads that it was trained with: sums depend on them."""

    @wraps(of)
    def steady(self: "Run", *args: P.args, **kwargs: P.kwargs) -> R:
        from latent_ot.bench import machine

        with machine.threads(self.job["threads"]):
            return of(self, *args, **kwargs)

    return steady


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
        from latent_ot.bench.store import config_of

        return config_of(self.folder)["job"]

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

    @_as_trained
    def sample(self, n: int = 64, seed: int = 0, form: Form = "uint8") -> "Tensor":
        """Draw n images (n, C, H, W), uint8 or float32 in [0, 1]; of a 2-D set points (n, 2).

        With the run's own seed they are those that were scored.

        Raises:
            InputError: for n < 1, or another form.
        """
        from latent_ot.bench.sampling import draw

        within("seed", seed, 0, SEEDS)
        return _as(draw(self.model, within("n", n, 1, 2**31), seed), form)

    @_as_trained
    def encode(self, images: Any) -> "Tensor":
        """Return codes (n, d) of images, as ``datasets.own.as_images`` takes them.

        Raises:
            InputError: if the method has no encoder, with the reason, or for images of another shape.
        """
        import torch

        with torch.no_grad():
            return self._able(lambda: self.model.encode(self._images(images)))

    @_as_trained
    def decode(self, codes: "Tensor", form: Form = "uint8") -> "Tensor":
        """Return images (n, C, H, W) of codes (n, d).

        Raises:
            InputError: if the method has no decoder, with the reason.
        """
        import torch

        from latent_ot.bench.sampling import quantise

        with torch.no_grad():
            return _as(quantise(self._able(lambda: self.model.decode(torch.as_tensor(codes)))), form)

    @_as_trained
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

        within("steps", steps, 1, 100_000)
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
        """Score the run under its protocol and return its metrics; its record is kept in the store.

        Of several evaluators these are the metrics of the first; ``records`` has all.

        Raises:
            InputError: for a run that ``load`` returned.
            RunFailed: if it cannot be scored, with the reason.
            KeyboardInterrupt: if the user stopped it; the same call goes on from there.
        """
        record = self.records()[0]
        if record.status != "done":
            raise RunFailed(f"{record.method}: {record.status}: {record.reason}")
        return dict(record.metrics)

    def records(self) -> list[Record]:
        """Score the run, and return all that is known of it under each protocol."""
        if self.benchmark is None:
            raise InputError("evaluate: this run was loaded from its folder, without its data; allowed: one of `train`")
        records, stopped = self.benchmark.execute()
        if stopped:
            raise KeyboardInterrupt("stopped; the same call goes on from here")
        return [checked(record) for record in records if record["method"] != DATA]

    def _images(self, images: Any) -> "Tensor":
        from latent_ot.bench.score import read
        from latent_ot.bench.store import config_of
        from latent_ot.stage import as_float

        shape = config_of(self.folders["train"])["spec"]["shape"]
        return as_float(read(images, tuple(shape)))

    @staticmethod
    def _able(call: Any) -> Any:
        try:
            return call()
        except Declined as reason:
            raise InputError(str(reason)) from None


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
    from latent_ot.bench.store import RESULT, config_of, result_of

    ended = result_of(folder, verify=True)
    job = config_of(folder)["job"] if ended else {}
    if not ended or ended["status"] != "done" or job["role"] not in ("train", "sampler", "refine"):
        near = nearest(folder.name, [path.name for path in folder.parent.glob("*") if (path / RESULT).exists()])
        raise InputError(f"'{folder}' holds no trained stage; allowed: a folder under STORE/stages that is done{near}")
    return job
