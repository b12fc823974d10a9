"""Weights & Biases, for those who ask for it: one dashboard run per benchmark run. Nothing else here imports wandb.

Without an account everything is kept in a local folder, from where ``wandb sync`` sends it later.
"""

import importlib.util
import netrc
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latent_ot.errors import InputError
from latent_ot.quantities import QUANTITIES
from latent_ot.record import checked

PROJECT = "latent_ot"
HOST = "api.wandb.ai"
Table = Sequence[Mapping[str, Any]]
NOT_SETTINGS = ("metrics", "curves", "reasons", "command", "machine", "stages", "facts", "updates")


def state() -> tuple[str, str]:
    """Return ``missing``, ``offline`` or ``online``, and in one line why and what to do about it."""
    if importlib.util.find_spec("wandb") is None:
        return "missing", "wandb is not installed: pip install latent_ot[wandb]"
    if mode := os.environ.get("WANDB_MODE"):
        return mode, f"WANDB_MODE={mode}"
    if os.environ.get("WANDB_API_KEY") or _stored_login():
        return "online", "logged in"
    return "offline", "no API key found, so runs stay in a local folder: `wandb login`, or `wandb sync` them later"


def check() -> None:
    """Raise InputError, in one line with the command that installs it, if wandb is missing."""
    mode, why = state()
    if mode == "missing":
        raise InputError(why)


class Tracker:
    """One run on the dashboard; it resumes under its id, which is the key of the run's last stage."""

    def __init__(self, folder: Path) -> None:
        """Prepare to write under ``folder``.

        Raises:
            InputError: if wandb is missing.
        """
        check()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.run: Any = None

    def start(self, run: Mapping[str, Any], key: str) -> None:
        """Open the run called method-seed-budget in its data set's group; ``run`` has those four and the settings."""
        import wandb

        mode: Any
        mode, why = state()
        if mode == "offline":
            print(f"W&B offline: {why}", file=sys.stderr)
        quiet = wandb.Settings(  # no console, code, packages, host or user name leaves the machine
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
            x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
            host="", username="",
        )  # fmt: skip
        self.run = wandb.init(
            project=PROJECT,
            group=run["dataset"],
            name=f"{run['method']}-{run['seed']}-{run['budget']}",
            id=key,
            resume="allow",  # offline it says nothing yet: parts of one id become one run when they are sent
            mode=mode,
            dir=str(self.folder),
            config={name: value for name, value in run.items() if name not in NOT_SETTINGS},
            settings=quiet,
        )
        self.run.define_metric("images_seen")
        self.run.define_metric("*", step_metric="images_seen")

    def log(self, values: Mapping[str, float], images_seen: float) -> None:
        """Add one point to each named curve."""
        self.run.log({**values, "images_seen": images_seen})

    def finish(self, metrics: Mapping[str, float | str], grid: Path | None = None, table: Table = ()) -> None:
        """Store final metrics, a sample grid and a table, and close the run."""
        import wandb

        self.run.summary.update(dict(metrics))
        if grid is not None:
            self.run.log({"samples": wandb.Image(str(grid))})
        if table:
            names: list[str | int] = list(table[0])
            self.run.log({"table": wandb.Table(columns=names, data=[list(row.values()) for row in table])})
        self.run.finish()


def track(record: Mapping[str, Any], picture: Path | None, folder: Path, table: Table = ()) -> None:
    """Log one finished run: settings, curves over images seen, final figures, sample grid and table.

    Args:
        record: as ``record.parse`` reads it.
        picture: the sample grid, if there is one.
        folder: where wandb keeps its files.
        table: rows shown beside the run, all with the same keys.
    """
    run = checked(record)
    key = run.stages[-1].key if run.stages else run.stem
    tracker = Tracker(folder)
    tracker.start(run.model_dump(mode="json", by_alias=True), key)
    points: dict[float, dict[str, float]] = {}
    curves = {f"loss/{name}": series for name, series in run.curves.loss.items()}
    curves |= {f"curve/{name}": run.curves.series(name) for name in QUANTITIES}
    for name, series in curves.items():
        for images, value in series:
            if value is not None:
                points.setdefault(images, {})[name] = value
    for images in sorted(points):
        tracker.log(points[images], images)
    tracker.finish({**run.metrics, "status": run.status}, picture, table)


def _stored_login() -> bool:
    """Whether a login for the dashboard's host is stored, without reading what it is."""
    try:
        return HOST in netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
