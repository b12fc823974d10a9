"""Weights & Biases. Nothing else in the suite imports wandb.

Without an account runs are kept in a local folder, from where ``wandb sync`` sends them later; nobody is ever asked.
"""

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from latent_ot.bench.trackers import base
from latent_ot.bench.trackers.base import FLUSH_SECONDS, Card, Figure, Handed, Tracker
from latent_ot.errors import InputError

PROJECT = "latent_ot"
HOST = "api.wandb.ai"
IMAGES = "images_seen"
LONGEST_TAG = 64  # characters, which the dashboard allows


class Wandb(Tracker):
    """A run of wandb under its card's id; a point's step is the images seen, so that it is never told twice."""

    title, needs = "W&B", "wandb"

    @classmethod
    def notice(cls) -> str | None:
        """Say where the runs will go, if not to the dashboard, and why."""
        mode, why = state()
        return None if (mode, why) == ("online", "logged in") else f"{cls.title} {mode}: {why}"

    @classmethod
    def able(cls) -> bool:
        """Whether it is not switched off by WANDB_MODE."""
        return state()[0] != "disabled"

    def __init__(self, folder: Path, card: Card, where: Mapping[str, str | None]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its makers hear of nobody's runs
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        mode: Any = state()[0]
        folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(  # no console, code, packages, host or user name leaves the machine
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
            x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
            host="", username="", init_timeout=base.PATIENCE / 2, finish_timeout=base.PATIENCE / 2,
            finish_timeout_raises=True, x_transaction_log_flush_interval=FLUSH_SECONDS,
        )  # fmt: skip
        run = wandb.init(
            project=where.get("project") or os.environ.get("WANDB_PROJECT") or PROJECT,
            entity=where.get("entity") or os.environ.get("WANDB_ENTITY"),
            group=card.group,
            job_type=card.job_type,
            name=card.name,
            tags=[tag[:LONGEST_TAG] for tag in card.tags],
            id=card.id,
            resume="allow",  # offline it says nothing yet: parts of one id become one run when they are sent
            reinit="create_new",  # Lightning's logger would go on with whatever run is open
            mode=mode,
            dir=str(folder),
            config=dict(card.config),
            settings=quiet,
        )
        self.logger = WandbLogger(experiment=run)
        run.define_metric(IMAGES)
        run.define_metric("*", step_metric=IMAGES)
        self.keeps = mode == "offline"
        self.reached = None if self.keeps else run.starting_step - 1.0  # what the dashboard has already

    def log(self, images: int, values: Mapping[str, float], picture: Path | None = None) -> None:
        """Add a point: all that is told of one place is one step."""
        import wandb

        shown = {"samples": wandb.Image(str(picture))} if picture is not None else {}
        self.logger.experiment.log({**values, **shown, IMAGES: images}, step=images)

    def figures(self, values: Mapping[str, Figure]) -> None:
        """Set the run's summary."""
        self.logger.experiment.summary.update(dict(values))

    def table(self, table: Handed) -> None:
        """Log a table; of one that is logged again the dashboard shows the last."""
        columns = [*table.rows[0]]
        mixed = {c for c in columns if len({isinstance(row[c], str) for row in table.rows if row[c] is not None}) > 1}
        rows = [[str(v) if c in mixed and v is not None else v for c, v in row.items()] for row in table.rows]
        self.logger.log_table(table.name, columns=columns, data=rows)

    def flush(self) -> None:
        """Nothing: wandb's own process writes every few seconds."""

    def close(self, failed: bool = False) -> None:
        """Send what is left. Raises an error of wandb's if that takes too long."""
        self.logger.experiment.finish(exit_code=int(failed))


def state() -> tuple[str, str]:
    """Return ``missing``, ``offline``, ``online`` or ``disabled``, and in one line why and what to do about it."""
    try:
        Wandb.check()
    except InputError as why:
        return "missing", str(why)
    known = bool(os.environ.get("WANDB_API_KEY")) or _stored_login()
    if mode := os.environ.get("WANDB_MODE"):
        lacking = "" if known or mode != "online" else ", but no API key found: `wandb login`, or set WANDB_API_KEY"
        return mode, f"WANDB_MODE={mode}{lacking}"
    if known:
        return "online", "logged in"
    return "offline", "no API key found, so runs stay in a local folder: `wandb login`, or `wandb sync` them later"


def _stored_login() -> bool:
    """Whether a login for the dashboard's host is stored, without reading what it is."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname or HOST
    try:
        return host in netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
