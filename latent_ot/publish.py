"""Publication: chosen records are copied from the store to the leaderboards, with one small picture a method and data.

The store keeps every run's pictures in full size; what is published is kept for good by whoever has a copy of the
repository, so it is small.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_ot.errors import InputError, choose
from latent_ot.files import write_atomic
from latent_ot.record import DATA, Record
from latent_ot.report import page
from latent_ot.results import add, load

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {"samples": 560, "points": 240}
"""Kind of picture that is published -> its width in pixels at most."""
COLOURS = 16
LIMIT = 12_000  # bytes
CUTS = ((2, 1), (4, 1), (4, 2), (8, 2), (8, 4))
"""What is kept of a sheet of samples until it is small enough: the upper 1/a of it, 1/b of its width."""


def choose_records(
    records: Sequence[Record], dataset: str, budget: str, methods: Sequence[str], seeds: Sequence[int]
) -> list[Record]:
    """Return the records that agree with everything that is given; what is empty asks for nothing.

    The yardstick of a data set comes along with any method, since tables begin with it.

    Raises:
        InputError: for a name that none of the records has, with the nearest.
    """
    asked = {"dataset": [dataset] if dataset else [], "budget": [budget] if budget else [], "method": [*methods]}
    for key, names in asked.items():
        for name in names if records else ():
            choose(key, name, {getattr(record, key) for record in records})
    if methods:
        asked["method"].append(DATA)
    allowed: dict[str, Sequence[Any]] = {**asked, "seed": seeds}
    return [r for r in records if all(not values or getattr(r, key) in values for key, values in allowed.items())]


def publish(
    chosen: Sequence[Record],
    store: Path,
    boards: Path,
    mark: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records,
) -> list[Path]:
    """Copy records of ``store/results`` to ``boards/results``, in place of older ones, and bring its pages up to date.

    Of each method and data set the lowest seed that is published has a picture, if the store has one of it.

    Args:
        chosen: the records, outdated ones marked.
        store: the folder that they were loaded from.
        boards: the folder of the leaderboards.
        mark: marks those that are outdated of all that is published then.

    Returns:
        The files of the records and the pictures.

    Raises:
        InputError: before anything is written, if there is nothing to publish, or a record may not be: a smoke test's,
            an outdated one, or that of a run that failed.
    """
    _check(chosen)
    published = {record.stem: record for record in (*load(boards), *chosen)}
    drawn, dropped = _pictures(chosen, list(published.values()), store / "results", boards / "results")
    paths = add(boards, chosen)
    for path, data in drawn.items():
        write_atomic(path, data)
    for path in dropped:
        path.unlink()
    page.write(boards, mark(load(boards)))
    return [*paths, *drawn]


def _check(chosen: Sequence[Record]) -> None:
    if not chosen:
        raise InputError("publish: 0 records are chosen; allowed: one or more of the store's")
    for record in chosen:
        what = f"publish: {record.stem}"
        if record.budget == "smoke":
            raise InputError(f"{what} has the budget smoke, whose numbers mean nothing; allowed: any other budget")
        if record.outdated:
            again = f"`{record.command}`" if record.command else "with the command that made it"
            raise InputError(f"{what} is outdated ({record.outdated[0]}); run it again: {again}")
        if record.status == "failed":
            why = (record.reason or "").splitlines()[0]
            raise InputError(f"{what} failed ({why}); allowed: a run that is done, diverged or declined")


def _pictures(
    chosen: Sequence[Record], published: Sequence[Record], store: Path, boards: Path
) -> tuple[dict[Path, bytes], list[Path]]:
    """Return the small pictures to write, and those that lie there and are not of the lowest seed any more."""
    new = {record.stem for record in chosen}
    drawn: dict[Path, bytes] = {}
    dropped: list[Path] = []
    for dataset, method in sorted({(record.dataset, record.method) for record in chosen}):
        runs = [r for r in published if (r.dataset, r.method) == (dataset, method)]
        found = False
        for run in sorted(runs, key=lambda r: (r.seed, -r.images_budget, r.stem)):
            path = boards / f"{run.stem}.png"
            sources = {kind: store / f"{run.stem}.{kind}.png" for kind in KINDS} if run.stem in new else {}
            source = next(((file, kind) for kind, file in sources.items() if file.exists()), None)
            if not found and run.status == "done" and source:
                drawn[path] = small_picture(*source)
            elif path.exists() and (found or run.stem in new):
                dropped.append(path)
            found = found or path in drawn or (path.exists() and path not in dropped)
    return drawn, dropped


def small_picture(path: Path, kind: str) -> bytes:
    """Return a run's picture as a PNG of 16 colours and about 12 kB at most; equal pictures give equal bytes.

    Args:
        path: of the picture in full size.
        kind: ``samples``, a square sheet, of which the upper half is kept, or less where that is too large; or
            ``points``, a scatter, which is scaled to 240 pixels.

    Raises:
        InputError: for another kind, or a file that is no picture.
    """
    from PIL import Image

    width = KINDS[choose("kind of picture", kind, KINDS)]
    try:
        with Image.open(path) as file:
            whole = file.convert("L" if file.mode in ("1", "L") else "RGB")
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} is no picture: {error}") from None
    data = b""
    for part, shrink in CUTS if kind == "samples" else ((1, 1),):
        cut = whole.crop((0, 0, whole.width, whole.height if part == 1 else whole.height // part + 1))
        wide = max(1, min(width, cut.width) // shrink)
        data = _png(cut.resize((wide, max(1, round(cut.height * wide / cut.width))), Image.Resampling.BOX))
        if len(data) <= LIMIT:
            break
    return data


def _png(image: "Image") -> bytes:
    out = io.BytesIO()
    image.quantize(COLOURS).save(out, format="PNG", optimize=True, bits=4)
    return out.getvalue()
