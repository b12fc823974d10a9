"""What a user asks of a benchmark."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    ``threads``: CPU threads of each stage, a part of its key since sums depend on them. ``grid``: representations and
    samplers to run all pairs of, in place of methods. ``force``: names of what is to be made again though it is done.
    ``verify``: whether data are hashed again though their files look as they were. ``methods``: "all" stands for every
    one that takes the data set. ``stop``: a stopping rule, the setting of that name of every method that has it.
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
    evaluator: str | None = None
    weights: Path | None = None
    gpus: int | None = None
    workers: int | None = None
    threads: int = 1
    force: Sequence[str] = ()
    verify: bool = False
    track: str | None = None
    grid: tuple[Sequence[str], Sequence[str]] | None = None
    stop: str | None = None

    def command(self, method: str, seed: int) -> str:
        """Return the command that makes one method's record again; a local path stands there by its role."""
        words = ["latent-ot", "bench", "--dataset", self.dataset, "--methods", method, "--seeds", str(seed)]
        words += ["--budget", self.budget]
        if self.dataset.startswith("folder:"):
            words[3] = "folder:" + Path(self.dataset.removeprefix("folder:")).name
        if self.subset:
            words += ["--subset", str(self.subset)]
        for name, values in self.overrides.items():
            words += [word for key, value in values.items() for word in ("--set", f"{name}.{key}={value}")]
        if self.threads != 1:
            words += ["--threads", str(self.threads)]
        if self.evaluator:
            words += ["--evaluator", self.evaluator]
        if self.weights:
            words += ["--inception-weights", self.weights.name]
        words += [word for plugin in self.plugins for word in ("--plugin", plugin.name)]
        return shlex.join(words)
