"""What the numeric checks behind some claims gave: kept beside the claims, so that pages are made without running any.

The checks are the functions of ``report/identities.py``; ``latent-ot claims --recheck`` runs them, and so does a test.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from latent_ot.bench.budgets import benchmarks
from latent_ot.bench.store import write_atomic
from latent_ot.report.records import significant

SEEDS = (0, 1, 2)
CHECKS = (
    "assignment_cost",
    "epoch_zero",
    "forward_kl_variance",
    "iwgan_bound",
    "iwgan_identity",
    "reverse_kl_loss",
    "sdot_cells",
    "sdot_extension",
    "steep_discriminator",
    "surrogate_gradients",
)
"""The checks that claims name."""


def run(name: str, seeds: Sequence[int] = SEEDS) -> list[float] | None:
    """Return what a check gives for each seed; None while the suite lacks a module that it needs."""
    from latent_ot.report import identities

    try:
        return [significant(getattr(identities, name)(seed)) for seed in seeds]
    except ImportError as error:
        if not str(error.name).startswith("latent_ot."):
            raise
        return None


def recheck() -> None:
    """Run every check and keep what it gave; those that cannot run yet are left out."""
    found = {name: values for name in CHECKS if (values := run(name)) is not None}
    lines = (f' "{name}": {json.dumps(values)}' for name, values in found.items())
    write_atomic(_file(), ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    _kept.cache_clear()


def outcome(name: str) -> list[float]:
    """Return what a check gave when it was last run, empty if it was not."""
    return _kept().get(name, [])


def _file() -> Path:
    return benchmarks() / "claims" / "checks.json"


@cache
def _kept() -> dict[str, list[float]]:
    return json.loads(_file().read_text(encoding="utf-8")) if _file().exists() else {}
