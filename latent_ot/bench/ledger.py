"""What a dashboard was told, noted in the store: nothing is told twice, and what was not by the next command."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latent_ot.errors import InputError
from latent_ot.files import locked, read_json, write_json

NEW: dict[str, Any] = {"images": -1, "pictures": [], "end": None}


class Ledger:
    """What one dashboard was told: the name of a stage or the stem of a record -> a note.

    A note has the ``images`` of the last point, the places of ``pictures``, and how it was at its ``end``, None before;
    a stage that is owed has its ``card``. A ledger that cannot be read is begun anew.
    """

    def __init__(self, store: Path, name: str) -> None:
        self.path = store / "tracking" / f"{name}.json"

    @contextlib.contextmanager
    def open(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Read and write it, alone."""
        with locked(self.path.with_suffix(".lock")):
            notes: dict[str, dict[str, Any]] = {}
            with contextlib.suppress(InputError, OSError):
                read = read_json(self.path, "what a dashboard was told", "delete it: it is told again")
                notes = {k: v for k, v in read.items() if isinstance(v, dict) and NEW.keys() <= v.keys()}
            before = json.dumps(notes)
            yield notes
            if json.dumps(notes) != before:
                write_json(self.path, notes)

    def note(self, key: str, **values: Any) -> dict[str, Any]:
        """Change a note, and return it."""
        with self.open() as notes:
            found = notes.setdefault(key, {**NEW})
            found |= values
            if found["end"] is not None:
                found.pop("card", None)
            return dict(found)
