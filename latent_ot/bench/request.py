"""What a user asks of a benchmark."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_ot.errors import InputError, choose, within
from latent_ot.files import shown
from latent_ot.metrics.evaluators.at_hand import IMAGENET, usual

if TYPE_CHECKING:
    from latent_ot.datasets.base import Dataset

SEEDS = 2**32 - 1
"""The largest seed: what NumPy and scikit-learn take."""
EXECUTORS = ("local", "ray")
MOST = 1024
"""Of workers, and of threads, more of which than cores are slow but give what a larger machine gives."""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    ``threads``: CPU threads of each stage, a part of its key since sums depend on them, as they do on
    ``devices_per_run``: GPUs, or on a CPU processes, that train a stage together. ``grid``: representations and
    samplers to run all pairs of, in place of methods. ``force``: names of what is to be made again though it is done.
    ``verify``: whether data are hashed again though their files look as they were. ``methods``: "all" stands for every
    one that takes the data set. ``stop``: a stopping rule, the setting of that name of every method that has it.
    ``runs_per_device``: stages at once on each GPU; None: as many as fit, unless ``workers`` says how many in all.
    ``precision``: likewise, of every part that is trained by steps and has none of its own; float32: as they are.
    ``evaluators``: those that score, each in a record of its own; none: the data set's (``resolved``). ``weights``:
    evaluator -> a file of its weights; the empty name stands for the only evaluator. ``track``: dashboards that are
    told. ``deadline``: when to stop, to go on another day, a moment of ``time.monotonic``. ``executor``: local, or ray
    for a cluster, which is that of ``address`` or else one on this machine; there ``gpu_share`` is what a training on
    one device takes of a GPU, ``scoring_gpu_share`` what scoring does (0: it takes CPU cores alone).
    ``exit_when_busy``: to end when nothing is left but what other commands work on.
    """

    dataset: str
    methods: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    budget: str = "ci"
    data_dir: Path = Path("data")
    store: Path = Path("runs")
    subset: int | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plugins: Sequence[Path] = ()
    evaluators: Sequence[str] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    gpus: int | None = None
    workers: int | None = None
    threads: int = 1
    force: Sequence[str] = ()
    verify: bool = False
    track: Sequence[str] = ()
    deadline: float | None = None
    grid: tuple[Sequence[str], Sequence[str]] | None = None
    stop: str | None = None
    precision: str = "float32"
    runs_per_device: int | None = None
    devices_per_run: int = 1
    executor: str = "local"
    address: str | None = None
    gpu_share: float = 1.0
    scoring_gpu_share: float = 0.0
    exit_when_busy: bool = False

    def __post_init__(self) -> None:
        """Check numbers, whoever asks; a method or a seed that is named twice is one.

        Raises:
            InputError: naming what is wrong, its value and what is allowed.
        """
        if isinstance(self.methods, str) or isinstance(self.seeds, str | int):
            raise InputError(f"methods {self.methods!r} at seeds {self.seeds!r}; allowed: a list of each")
        if isinstance(self.evaluators, str):
            raise InputError(f"evaluators {self.evaluators!r}; allowed: a list of them")
        seeds = [within("seed", seed, 0, SEEDS) for seed in self.seeds]
        object.__setattr__(self, "seeds", list(dict.fromkeys(seeds)))
        object.__setattr__(self, "methods", list(dict.fromkeys(self.methods)))
        object.__setattr__(self, "evaluators", list(dict.fromkeys(self.evaluators)))
        if not seeds:
            raise InputError("seeds: none is given; allowed: one or more, e.g. 0")
        limits = {
            "threads": (1, MOST),
            "devices_per_run": (1, MOST),
            "workers": (1, MOST),
            "runs_per_device": (1, MOST),
            "gpus": (0, MOST),
        }
        for name, (low, high) in limits.items():
            if (value := getattr(self, name)) is not None:
                within(name, value, low, high)
        self._check_executor()
        for name, path in self.weights.items():
            if path.is_dir():
                raise InputError(f"weights '{'='.join(filter(None, (name, str(path))))}' are a folder; allowed: a file")
            if name == "" and len(self.evaluators) > 1:
                which = f"{'|'.join(self.evaluators)}={path}"
                raise InputError(f"weights '{path}' with several evaluators; allowed: of a named one, {which}")
            if name and self.evaluators and name not in self.evaluators:
                raise InputError(f"weights of '{name}', which is not to score; allowed: {', '.join(self.evaluators)}")
        if self.subset is not None and type(self.subset) is not int:  # the data set knows how many it has
            within("subset", self.subset, 1, 2**31)

    def _check_executor(self) -> None:
        choose("executor", self.executor, EXECUTORS)
        for name, low in (("gpu_share", 0.01), ("scoring_gpu_share", 0.0)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value <= 1:
                raise InputError(f"{name} = {value!r}; allowed: a share of one GPU, {low:g} to 1")
        asked = {"address": self.address is not None, "gpu_share": self.gpu_share != 1.0}
        asked["scoring_gpu_share"] = self.scoring_gpu_share != 0.0
        for name in (name for name, given in asked.items() if given and self.executor != "ray"):
            raise InputError(f"{name} = {getattr(self, name)!r} with executor '{self.executor}'; allowed: with ray")

    def resolved(self, dataset: "Dataset") -> "Request":
        """Return the request with the evaluators that score its data set; none where that holds 2-D points.

        They are those that were asked for; else the data set's, with Inception beside ImageNet's network where its
        weights are in the usual place, and those whose weights were given.
        """
        if dataset.kind == "points":
            return replace(self, evaluators=(), weights={})
        own = usual(dataset.evaluator or IMAGENET)
        names = [*self.evaluators] or [*dict.fromkeys([*own, *filter(None, self.weights)])]
        weights = {name or names[0]: path for name, path in self.weights.items()}
        return replace(self, evaluators=names, weights=weights)

    def command(self, method: str, seed: int, evaluator: str = "") -> str:
        """Return the command that makes one method's record again; a local path stands there by its role.

        ``evaluator``: the one that scores, if it is to be named.
        """
        words = ["latent-ot", "bench", "--dataset", self.dataset, "--methods", method, "--seeds", str(seed)]
        words += ["--budget", self.budget]
        if self.dataset.startswith("folder:"):
            words[3] = "folder:" + shown(Path(self.dataset.removeprefix("folder:")).name)
        if self.subset:
            words += ["--subset", str(self.subset)]
        for name, values in self.overrides.items():
            words += [word for key, value in values.items() for word in ("--set", f"{name}.{key}={value}")]
        if self.threads != 1:
            words += ["--threads", str(self.threads)]
        if self.devices_per_run != 1:
            words += ["--devices-per-run", str(self.devices_per_run)]
        if evaluator:
            words += ["--evaluator", evaluator]
        if evaluator in self.weights:
            words += ["--weights", shown(self.weights[evaluator].name)]
        words += [word for plugin in self.plugins for word in ("--plugin", shown(plugin.name))]
        return shlex.join(words)
