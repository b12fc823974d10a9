"""A frozen network that scores a run is never one that trained it: scores would favour what was fitted to it."""

from collections.abc import Mapping
from typing import Any

from latent_ot.catalog import KIND, Catalog
from latent_ot.errors import Refused
from latent_ot.metrics.evaluators.at_hand import IMAGENET


def judge_among(frozen: Mapping[str, int | str], judge: str | None, checksum: str | None) -> str | None:
    """Return the name, among the ``frozen`` networks that a stage learns from, of the evaluator ``judge`` itself.

    It is told by its name or, whatever it is called here, by the ``checksum`` of its weights; None if it is not there.
    """
    for name, mark in frozen.items():
        if name == judge or (isinstance(mark, str) and mark and (checksum or "").startswith(mark)):
            return name
    return None


def check_judge(job: Mapping[str, Any], catalog: Catalog, judge: str, checksum: str | None) -> None:
    """See that the training stage of a ``job`` does not learn from the evaluator ``judge``, which scores it.

    Raises:
        Refused: if it does, with the setting that says so and the nearest choice.
    """
    name = judge_among(job["made_of"].get("frozen", {}), judge, checksum)
    if name is None:
        return
    set_by = next((key for key, value in job["config"].items() if value == name), None)
    what = f"setting '{set_by}' = '{name}'" if set_by else f"network '{name}'"
    fields = catalog.stage(KIND[job["role"]], job["name"]).Config.model_fields
    default = fields[set_by].default if set_by else None
    other = f"--evaluator {'inception' if IMAGENET in (name, judge) else IMAGENET}"
    if default not in (None, name, judge):
        other = f"--set {job['name']}.{set_by}={default}"
    raise Refused(
        f"{job['name']}: {what} would train what evaluator '{judge}', the same network, scores; allowed: another "
        f"network or another evaluator; nearest: {other}"
    )
