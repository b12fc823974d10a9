"""What prepared images are: their content id, and the card beside them that says what they were made by and from.

The card, ``content.json``, keeps the origin that made the arrays, sizes and times of the original files, and the
content id, which is believed while the arrays' own sizes and times stay as recorded. Arrays without a card are a user's
own. Content ids hold content alone: where files lie and when they were written never enters.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from latent_ot.datasets.stream import Pictures, Splits, Stream
from latent_ot.files import read_json, reading, write_atomic

CARD = "content.json"
SLICE_BYTES = 16 << 20  # of images in memory at once while a set is written


@dataclass(frozen=True)
class Card:
    """Contents of ``content.json``.

    ``origin``: as ``Source.origin`` has it; None where the arrays are older than versions. ``notes``: for the user.
    ``files``: ``state`` of the original files. ``place``: their folder, relative to the data folder, if it was named.
    ``state``: id, sizes and times of the arrays that have this ``content_id``.
    """

    origin: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    files: list[Any] | None = None
    place: str | None = None
    state: list[Any] | None = None
    content_id: str | None = None

    def made_by(self) -> frozenset[str]:
        """Return the classes that made the arrays; none, if that is not recorded."""
        return frozenset((self.origin or {}).get("source", ()))


def read_card(folder: Path) -> Card | None:
    """Return the card of a prepared folder; None if it has none.

    Raises:
        InputError: if the card is damaged.
    """
    if not (folder / CARD).exists():
        return None
    what, then = "what prepared images were made of", "delete the folder, and load the set anew"
    found = read_json(folder / CARD, what, then)
    with reading(folder / CARD, what, then):
        known = {f.name: found[f.name] for f in fields(Card) if f.name in found}
        card = Card(**{**known, "notes": tuple(known.get("notes", ()))})
        kinds = {"origin": dict, "files": list, "place": str, "state": list, "content_id": str}
        for name, kind in kinds.items():
            if not isinstance(getattr(card, name), kind | None):
                raise TypeError(f"its {name} is none")
        return card


def write_card(folder: Path, card: Card) -> None:
    """Replace the card in one step.

    Raises:
        OSError: if the folder cannot be written.
    """
    write_atomic(folder / CARD, json.dumps(asdict(card)).encode())


def content_id(key: str, splits: Splits | Stream, origin: Mapping[str, Any]) -> str:
    """Return 12 hex digits of sha256 over origin, id and both splits' shapes and bytes (labels are not part of it)."""
    digest = hashlib.sha256(json.dumps([origin, key], sort_keys=True).encode())
    for array in (splits.train, splits.test):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for some in slices(array):
            digest.update(some.data)
    return digest.hexdigest()[:12]


def slices(images: np.ndarray | Pictures) -> Iterator[np.ndarray]:
    """Yield the images some at a time, so that few are in memory at once."""
    step = max(1, SLICE_BYTES * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), step):
        yield np.ascontiguousarray(images[start : start + step])


def state(paths: list[Path]) -> list[Any]:
    """Return name, size and time of every file, for a folder name, number and one hash over those of all its files."""
    return [[path.name, *(_folder_state(str(path)) if path.is_dir() else file_state(str(path)))] for path in paths]


def file_state(path: str | Path) -> list[int]:
    """Return size and time of a file; two zeros where there is none."""
    try:
        stat = os.stat(path)
    except OSError:  # a link to nowhere, or a file that has just gone
        return [0, 0]
    return [stat.st_size, stat.st_mtime_ns]


def _folder_state(root: str) -> list[Any]:
    paths = (f"{at}/{name}" for at, _, names in os.walk(root) for name in names)
    files = sorted(f"{path.removeprefix(root)}/{file_state(path)}" for path in paths)
    return [len(files), hashlib.sha256("\n".join(files).encode(errors="surrogateescape")).hexdigest()[:12]]


def relative(path: Path, data_dir: Path) -> str:
    """Return a path relative to the data folder, so that both can move together."""
    return os.path.relpath(path.resolve(), data_dir.resolve())


def difference(recorded: Mapping[str, Any] | None, today: Mapping[str, Any]) -> str:
    """Say in words what made a set and what makes it today, e.g. ``prepared by CelebA 1, today's is CelebA 2``."""
    if recorded is None:
        return f"prepared before versions were kept, today's is {_named(today, today)}"
    return f"prepared by {_named(recorded, today)}, today's is {_named(today, recorded)}"


def _named(origin: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    classes = ", ".join(f"{name} {version}" for name, version in origin.get("source", {}).items())
    own = {**origin.get("view", {}), "subset": origin.get("subset")}
    others = {**other.get("view", {}), "subset": other.get("subset")}
    differs = ", ".join(f"{key} {value}" for key, value in own.items() if others.get(key) != value)
    return f"{classes} with {differs}" if differs else classes
