"""Where results live: one folder per stage, addressed by what it is made of; ``result.json`` in it means done."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latent_ot.bench.identity import key_of
from latent_ot.errors import Damaged, InputError
from latent_ot.files import locked, read_json, reading, set_aside, sha256, shown, unwritable, writable, write_json

RESULT, CONFIG = "result.json", "config.json"
AGAIN = "run the command that made it again"
SUM = "sum"
"""Key of a result under which the hash of all others stands."""


def finish(folder: Path, result: Mapping[str, Any]) -> None:
    """Write a stage's result, which says that it is done and of which bytes the files are that others build on."""
    paths = [*folder.glob(CONFIG), *folder.rglob("*.safetensors")] if result["status"] == "done" else []
    files = {path.relative_to(folder).as_posix(): [path.stat().st_size, sha256(path)] for path in sorted(paths)}
    told = {**result, "files": files}
    write_json(folder / RESULT, {**told, SUM: _sum(told)}, durable=True)


def result_of(folder: Path, verify: bool = False) -> dict[str, Any] | None:
    """Return what a finished stage wrote into its folder, or None while it is not finished.

    Args:
        folder: of the stage.
        verify: read its files whole; else only their sizes are looked at.

    Raises:
        Damaged: if the result, or a file that others build on, is not what the stage left.
    """
    path, what = folder / RESULT, "the result of a stage that is done"
    if not path.exists():
        return None
    found = read_json(path, what, AGAIN)
    with reading(path, what, AGAIN):
        if found.get("status") not in ("done", "diverged") or found.pop(SUM, None) not in (None, _sum(found)):
            raise ValueError("it does not say what the stage wrote")
        files = [(name, size, digest) for name, (size, digest) in found.get("files", {}).items()]
    for name, size, digest in files:
        with reading(folder / name, "the file that its stage left", AGAIN):
            now = (folder / name).stat().st_size
            if now != size:
                raise ValueError(f"{now:,} bytes in place of {size:,}")
            if (verify or name == CONFIG) and sha256(folder / name) != digest:
                raise ValueError("other bytes than its stage left")
    return found


def config_of(folder: Path) -> dict[str, Any]:
    """Return what the stage of a folder is: its ``job`` and, of one that trains, its ``spec`` (see ``reading``)."""
    found = read_json(folder / CONFIG, "what a stage is made of", AGAIN)
    with reading(folder / CONFIG, "what a stage is made of", AGAIN):
        if not {"role", "name", "inputs"} <= found["job"].keys():
            raise ValueError("it names no stage")
    return found


def _sum(result: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:16]


class Store:
    """A folder of stages. Several commands, on one machine or on several over a shared disk, may use it at once.

    It is made when something is first written to it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stages = root / "stages"
        self.cache = root / "cache"
        self.locks = root / "locks"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.root, error, what="store") from error

    def check_writable(self) -> None:
        """Make its folders and see that they take files, before hours of work, not after.

        Raises:
            StoreError: if they do not.
        """
        writable(self.root, "store", keep=True)
        for folder in (self.stages, self.cache, self.locks):
            with self._writing():
                folder.mkdir(exist_ok=True)

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
                    remove_stage(self.folder(name))

    def folder(self, name: str) -> Path:
        """Return the folder of the stage with this name (which ends in its key)."""
        return self.stages / name

    def result(self, name: str, verify: bool = False) -> dict[str, Any] | None:
        """Return what a finished stage wrote, or None while it is not finished.

        One whose files are damaged, or another's, is not: that is said in one line, and it is made again.
        """
        folder = self.folder(name)
        try:
            found = result_of(folder, verify)
            if (
                found
                and CONFIG in found.get("files", {})
                and key_of(config_of(folder)["job"]) != name.rpartition("-")[2]
            ):
                raise Damaged(f"'{shown(folder)}' holds another stage")
        except Damaged as why:
            set_aside(folder / RESULT)
            print(f"{why.problem}: the stage is made again", file=sys.stderr)
            return None
        return found

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yield whether this command may work on ``name`` now; the claim ends with the process, however it ends."""
        with locked(self.locks / f"{name}.lock", wait=False) as mine:
            yield mine


def remove_stage(folder: Path) -> None:
    """Remove a stage's folder if it is there, and first what says that it is done: half of it counts as nothing."""
    (folder / RESULT).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
