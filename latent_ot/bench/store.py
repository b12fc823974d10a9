"""Where results live: one folder per stage, addressed by what it is made of; ``result.json`` in it means done."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from latent_ot.errors import InputError, StoreError


class Store:
    """A folder of stages. Several commands, on one machine or on several over a shared disk, may use it at once.

    Raises:
        StoreError: if the folder is not there and cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stages = root / "stages"
        self.cache = root / "cache"
        self.locks = root / "locks"
        with self._writing():
            for folder in (self.stages, self.cache, self.locks):
                folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"store '{self.root}' cannot be written ({error.strerror or error}); allowed: a folder on a disk that "
                "can be, by --store"
            ) from None

    def check_writable(self) -> None:
        """Write and remove a file, so that a disk that takes none is said before hours of work, not after.

        Raises:
            StoreError: if that fails.
        """
        with self._writing(), tempfile.NamedTemporaryFile(dir=self.locks, prefix=".check."):
            pass

    def discard(self, names: Iterable[str]) -> None:
        """Remove stages, whatever became of them.

        Raises:
            InputError: if another command works on one; those before it are gone.
        """
        for name in names:
            with self.claim(name) as mine:
                if not mine:
                    raise InputError(f"stage '{name}' is being made by another command; wait for its end")
                with self._writing():
                    if self.folder(name).exists():
                        shutil.rmtree(self.folder(name))

    def folder(self, name: str) -> Path:
        """Return the folder of the stage with this name (which ends in its key)."""
        return self.stages / name

    def result(self, name: str) -> dict[str, Any] | None:
        """Return what a finished stage wrote, or None while it is not finished."""
        path = self.folder(name) / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yield whether this command may work on ``name`` now; the claim ends with the process, however it ends."""
        lock = FileLock(self.locks / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
