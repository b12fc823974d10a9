"""Files that appear whole or not at all, and one way to read any of them: a line that names it, or what it holds.

Whoever reads a file says what it should be and what to do where it is not that; ``reading`` makes the line of it,
whatever a decoder raises. Tensors are in ``tensors.py``.
"""

import contextlib
import errno
import gzip
import hashlib
import json
import os
import pickle
import re
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from latent_ot.errors import Damaged, InputError, StoreError
from latent_ot.interrupts import passing

if TYPE_CHECKING:
    import numpy as np

PACKAGE = Path(__file__).parent
PROBE = 1 << 20  # bytes that a place must take before work begins that ends in it
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MACHINE = (*NO_ROOM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENFILE, errno.EMFILE)
"""Numbers of errors that no input brings about."""
BEGINS = {
    re.compile(rb"\s*<(!doctype html|html|head|body|\?xml[^>]*>\s*<!doctype html)", re.IGNORECASE): "is a web page",
    re.compile(rb"version https://git-lfs"): "is a Git LFS pointer in place of the file",
}
"""How what is no file of ours at all begins -> what it is."""
GZIP = b"\x1f\x8b"
BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"": "utf-8-sig"}


def is_checkout() -> bool:
    """Whether the package lies in its repository, which is its user's to change, not among installed packages."""
    return (PACKAGE.parent / "benchmarks" / "budgets.yaml").exists()


def _outside(path: Path) -> None:
    """Refuse to write into an installed package."""
    if PACKAGE in (path.absolute(), *path.absolute().parents) and not is_checkout():
        raise InputError(f"'{shown(path)}' lies in the installed package, which stays as it is; allowed: another --out")


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shown(path: Path | str) -> str:
    """Return a path as one line of text that any program can print, whatever bytes it is made of."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], text)


def home(path: Path) -> Path:
    """Return a path with a leading ``~`` as the home folder that it stands for.

    Raises:
        InputError: if there is none of that name.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"'{shown(path)}': there is no home folder of that name; allowed: a path") from None


@contextlib.contextmanager
def reading(path: Path, what: str, then: str) -> Iterator[None]:
    """Read a file: whatever goes wrong becomes one line.

    Args:
        path: of the file.
        what: it should be, e.g. "the weights of an evaluator".
        then: what to do where it is not.

    Raises:
        Damaged: if it is missing, or its reader raises anything at all.
        InputError: if it may not be read.
        StoreError: if the disk fails.
    """
    try:
        yield
    except (InputError, StoreError, MemoryError):
        raise
    except FileNotFoundError:
        raise Damaged(f"'{shown(path)}' is missing; allowed: {what}; {then}") from None
    except Exception as error:
        code = getattr(error, "errno", None)
        if code in MACHINE:
            raise StoreError(f"'{shown(path)}' cannot be read ({error.strerror})") from error  # type: ignore[attr-defined]
        if code in (errno.EACCES, errno.EPERM):
            why = f"({error.strerror})"  # type: ignore[attr-defined]
            raise InputError(f"'{shown(path)}' cannot be read {why}; allowed: {what}") from None
        raise Damaged(f"'{shown(path)}' {_state(path, error)}; allowed: {what}; {then}") from None


def foreign(path: Path) -> str | None:
    """Say what a file is that is none of ours by its size or its beginning; None of any other."""
    if path.is_dir():
        return "is a folder"
    with path.open("rb") as file:
        head = file.read(512)
    return next((said for begins, said in BEGINS.items() if begins.match(head)), None) if head else "is empty"


def _state(path: Path, error: Exception) -> str:
    """Say what a file is that cannot be read."""
    kind = None
    with contextlib.suppress(OSError):
        kind = foreign(path)
    if kind is None and isinstance(error, pickle.UnpicklingError):
        return "is damaged, or holds more than tensors and numbers"  # torch would tell how to have it executed
    first = next(iter(str(error).splitlines()), "")[:160]
    return kind or f"is damaged ({shown(first) or type(error).__name__})"


def read_bytes(path: Path, what: str, then: str) -> bytes:
    """Return a file's bytes, unpacked if they are gzip's, whatever its name (see ``reading``)."""
    with reading(path, what, then):
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(GZIP) else data


def read_text(path: Path, what: str, then: str) -> str:
    """Return a file's text, UTF-8 or, where it says so itself, UTF-16; without its mark (see ``reading``)."""
    with reading(path, what, then):
        data = path.read_bytes()
        return data.decode(next(name for mark, name in BOMS.items() if data.startswith(mark)))


def read_json(path: Path, what: str, then: str, kind: type = dict) -> Any:
    """Return the JSON of a file that holds a ``kind`` (see ``reading``); numbers that are not finite are none."""
    with reading(path, what, then):
        found = json.loads(path.read_bytes(), parse_constant=_no_number)
        if not isinstance(found, kind):
            raise TypeError(f"it holds a {type(found).__name__}")
        return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def read_yaml(path: Path, kind: type = dict) -> Any:
    """Return the YAML of a file of the suite's data that holds a ``kind`` (see ``reading``)."""
    import yaml

    with reading(path, f"YAML of a {kind.__name__}", "mend it, or install latent_ot anew"):
        found = yaml.safe_load(path.read_bytes())
        if not isinstance(found, kind):
            raise TypeError(f"it holds a {type(found).__name__}")
        return found


def read_array(path: Path, what: str, then: str) -> "np.ndarray":
    """Return the array of a .npy file, mapped into memory, so that a false header claims none (see ``reading``)."""
    import numpy as np

    with reading(path, what, then):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise TypeError("it is an archive of arrays")
        return found


def read_arrays(path: Path, names: tuple[str, ...], what: str, then: str) -> "list[np.ndarray]":
    """Return the arrays called ``names`` of a .npz file, each checked against its sum (see ``reading``)."""
    import numpy as np

    with reading(path, what, then), np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in names]


def unpack_tar(path: Path, folder: Path, what: str) -> None:
    """Unpack a tar archive into a folder; nothing in it may lead out of there (see ``reading``)."""
    with reading(path, what, "fetch it again"), tarfile.open(path) as archive:
        try:
            archive.extractall(folder, filter="data")
        except OSError as error:
            if error.errno in NO_ROOM:
                raise unwritable(folder, error) from error
            raise


@contextlib.contextmanager
def whole(path: Path, durable: bool = False, need: int | None = None) -> Iterator[Path]:
    """Yield where to write a file that takes its place in one step, if all goes well; else nothing is left of it.

    No two writers are given the same place, be they processes or threads. Its folder is made if it is not there.

    Args:
        path: of the file.
        durable: whether it outlives a power cut from then on, at the cost of waiting for the disk.
        need: its bytes, for the line about a disk without room.

    Raises:
        StoreError: if the file cannot be written.
        InputError: if it would lie in the installed package.
    """
    _outside(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with made(path.parent), passing(part):
            yield part
            if durable:
                _sync(part)
            part.replace(path)
            if durable:
                _sync(path.parent)
    except StoreError:
        raise
    except OSError as error:
        raise unwritable(path, error, need) from error


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that have no such thing for a folder
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; if what follows fails, those of them that are empty go again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def unwritable(path: Path, error: OSError, need: int | None = None, what: str = "") -> StoreError:
    """Return in one line that, and why, a file or a folder cannot be written, and what it needs."""
    why = error.strerror or str(error)
    there = next((at for at in (path, *path.absolute().parents) if at.is_dir()), Path("/"))
    needs = "a path in a folder that can be written"
    if error.errno in NO_ROOM:
        room = "more room" if need is None else f"{megabytes(need)} of room"
        needs = f"{room} where {megabytes(shutil.disk_usage(there).free)} are free; then run the same command again"
    found = StoreError(f"{what or 'file'} '{shown(path)}' cannot be written ({why}); needed: {needs}")
    found.errno = error.errno
    return found


def megabytes(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1e6:,.1f} MB"


def writable(folder: Path, what: str, keep: bool = False) -> None:
    """See that a folder takes files, before the work that ends in it; ``keep`` leaves it there if it had to be made.

    Raises:
        StoreError: if it does not, with ``what`` it is, its path and what it needs.
        InputError: if it lies in the installed package.
    """
    _outside(folder)
    try:
        with contextlib.suppress(_Looked), made(folder):
            with tempfile.TemporaryFile(dir=folder, prefix=".check.") as file:
                file.write(bytes(PROBE))
            if not keep:
                raise _Looked
    except OSError as error:
        raise unwritable(folder, error, PROBE, what) from None


class _Looked(Exception):
    """A folder takes files, and what was made to find out goes again."""


def check_out(path: Path) -> None:
    """See that a file can be written at ``path``, its folder made if need be, before the work whose result it is.

    Raises:
        StoreError: if it cannot.
        InputError: if there is a folder of that name.
    """
    if path.is_dir():
        raise InputError(f"--out '{shown(path)}' is a folder; allowed: a file; nearest: {shown(path / 'picture.png')}")
    writable(path.parent, f"--out '{shown(path)}': folder")


def write_atomic(path: Path, data: bytes, durable: bool = False) -> None:
    """Write a file so that a reader sees all of it or none of it (see ``whole``)."""
    with whole(path, durable, len(data)) as part:
        part.write_bytes(data)


def write_json(path: Path, value: Any, durable: bool = False) -> None:
    """Write JSON with sorted keys, atomically (see ``whole``)."""
    write_atomic(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(), durable)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock that a file is, which whoever may write its folder can take; it ends with the process, too.

    Yields:
        Whether it is held: always, where one waits for it.

    Raises:
        StoreError: if there can be no such file.
    """
    held = FileLock(path)
    try:
        with made(path.parent):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))  # which the library would close to all but its owner
            held.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield True
    finally:
        held.release()


def set_aside(path: Path) -> Path:
    """Give a damaged file the name NAME.damaged, where nothing reads it; return where it is then."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(OSError):  # what cannot be written stays as it is
        path.replace(aside)
    return aside if aside.exists() else path
