"""What earlier commands finished: the same one again prints its table at once, without importing torch (seconds).

Remembered in the store beside what ``currency`` found, for as long as the package and the suite's data stay as they
are, by all of a request that its records depend on and by the content of its data. A remembered command whose stages
or records are gone is an ordinary one.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from latent_ot import results
from latent_ot.bench.currency import digest, remember, remembered
from latent_ot.bench.request import Request
from latent_ot.bench.store import Store
from latent_ot.datasets.base import load
from latent_ot.record import Record

if TYPE_CHECKING:
    from latent_ot.bench.plan import RunPlan

OF_THE_COMMAND = (
    "store", "data_dir", "workers", "runs_per_device", "gpus", "verify", "plugins", "weights", "track", "deadline",
    "force", "executor", "address", "gpu_share", "scoring_gpu_share", "exit_when_busy",
)  # fmt: skip
"""What a request says that its records do not depend on, or that ``_able`` and ``_key`` look at by themselves."""


def recall(request: Request) -> list[Record] | None:
    """Return the records of a request of which nothing is left to do, in the order of its plans; None of another.

    Raises:
        InputError: if the data cannot be read (see ``datasets.base.load``).
    """
    path = _path(request)
    if not _able(request) or not path.exists():
        return None
    dataset = load(request.dataset, request.data_dir, request.subset, request.verify)
    known = remembered(path, dict).get(_key(request.resolved(dataset), dataset.content_id))
    if known is None or not {"stages", "records"} <= known.keys() or not _ended(request, known["stages"]):
        return None
    found = {record.stem: record for record in results.look(request.store).records}
    ours = [found[stem] for stem in known["records"] if stem in found]
    keys = {name.rpartition("-")[2] for name in known["stages"]}
    same = all(not record.outdated and {stage.key for stage in record.stages} <= keys for record in ours)
    return ours if same and len(ours) == len(known["records"]) else None


def keep(request: Request, content: str, plans: Sequence["RunPlan"], stems: Sequence[str]) -> None:
    """Remember a request that has all its stages and a record of each run; any other is not.

    Args:
        request: What was asked for, with the evaluators that score.
        content: Id of its data's content.
        plans: Its runs.
        stems: File names of their records, without the ending.
    """
    stages = [stage.name for plan in plans for stage in plan.stages]
    if not _able(request) or len(stems) != len(plans) or not _ended(request, stages):
        return
    path, what = _path(request), {"stages": stages, "records": [*stems]}
    remember(path, {**remembered(path, dict), _key(request, content): what})


def _ended(request: Request, stages: Sequence[str]) -> bool:
    store = Store(request.store)
    return all(store.result(name) is not None for name in stages)


def _able(request: Request) -> bool:
    """Whether a request can be one of which nothing is left to do; what it names may have to be looked at first."""
    return not (request.force or request.track or request.gpus or request.weights)


def _path(request: Request) -> Path:
    return request.store / "cache" / f"finished-{digest()}.json"


def _key(request: Request, content: str) -> str:
    asked = {key: value for key, value in asdict(request).items() if key not in OF_THE_COMMAND}
    plugins = [hashlib.sha256(path.read_bytes()).hexdigest() for path in request.plugins if path.is_file()]
    told = json.dumps([content, plugins, asked], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
