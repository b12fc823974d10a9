"""What earlier commands finished: the same one again prints its table at once, without importing torch (seconds).

Remembered in the store beside what ``currency`` found, for as long as the package and the suite's data stay as they
are, by all of a request that its records depend on and by the content of its data. A remembered command whose stages
or records are gone is an ordinary one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_ot import results
from latent_ot.bench.currency import digest, remember, remembered
from latent_ot.bench.request import Request
from latent_ot.datasets.base import load
from latent_ot.record import Record, checked

if TYPE_CHECKING:
    from latent_ot.bench.plan import RunPlan

OF_THE_COMMAND = ("store", "data_dir", "workers", "gpus", "verify", "plugins", "weights", "track", "force")
"""What a request says that its records do not depend on, or that ``_able`` and ``_key`` look at by themselves."""


def recall(request: Request) -> list[Record] | None:
    """Return the records of a request of which nothing is left to do, by file name; None of another.

    Raises:
        InputError: if the data cannot be read (see ``datasets.base.load``).
    """
    path = _path(request)
    if not _able(request) or not path.exists():
        return None
    content = load(request.dataset, request.data_dir, request.subset, request.verify).content_id
    known = remembered(path).get(_key(request, content))
    if known is None or not all(_ended(request, name) for name in known["stages"]):
        return None
    found = {record.stem: record for record in results.load(request.store)}
    ours = [found.get(stem) for stem in known["records"]]
    if any(r is None or r.outdated or r.checksum != known["records"][r.stem] for r in ours):
        return None
    return [record for record in ours if record is not None]


def keep(request: Request, content: str, plans: Sequence["RunPlan"], made: Sequence[Mapping[str, Any]]) -> None:
    """Remember a request, with the id of its data's ``content``, if it has all its stages and a record of each run."""
    stages = [stage.name for plan in plans for stage in plan.stages]
    if not _able(request) or len(made) != len(plans) or not all(_ended(request, name) for name in stages):
        return
    stems = [checked(record).stem for record in made]
    sums = {record.stem: record.checksum for record in results.load(request.store)}
    what = {"stages": stages, "records": {stem: sums.get(stem) for stem in stems}}
    path = _path(request)
    remember(path, {**remembered(path), _key(request, content): what})


def _able(request: Request) -> bool:
    """Whether a request can be one of which nothing is left to do; what it names may have to be looked at first."""
    return not (request.force or request.track or request.gpus or request.weights)


def _ended(request: Request, stage: str) -> bool:
    return (request.store / "stages" / stage / "result.json").exists()


def _path(request: Request) -> Path:
    return request.store / "cache" / f"finished-{digest()}.json"


def _key(request: Request, content: str) -> str:
    asked = {key: value for key, value in asdict(request).items() if key not in OF_THE_COMMAND}
    plugins = [hashlib.sha256(path.read_bytes()).hexdigest() for path in request.plugins if path.is_file()]
    told = json.dumps([content, plugins, asked], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
