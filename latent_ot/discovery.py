"""One rule for what the suite is made of: a file of a folder holds one class, and the class says itself what it is.

Methods, latent samplers, data sets, metrics, evaluators and network families are found so; nothing is registered. A
file whose name begins with ``_`` is no such thing, and neither is ``base.py``, which states the contract. A user's own
file joins by ``plug_in`` and counts as what its class is a subclass of.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from latent_ot.errors import ContractError, InputError

PACKAGE = Path(__file__).parent
PREFIX = "latent_ot_plugin_"
T = TypeVar("T")
_plugins: dict[str, tuple[Path, ModuleType]] = {}


def files(folder: str) -> dict[str, Path]:
    """Return name -> file of what a folder of the package holds, e.g. "methods", in order; nothing is imported."""
    return {path.stem: path for path in sorted((PACKAGE / folder).glob("[!_]*.py")) if path.stem != "base"}


def defined(module: ModuleType, base: type[T]) -> list[type[T]]:
    """Return the subclasses of ``base`` that a file defines itself, except those that others of them build on."""
    found = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    kinds = [v for v in found if issubclass(v, base) and v is not base]
    return [v for v in kinds if not any(v in other.__mro__[1:] for other in kinds)]


def the_class(folder: str, name: str, module: ModuleType, base: type[T]) -> type[T]:
    """Return the one class of a kind that a file defines.

    Raises:
        InputError: if it defines none, or several.
    """
    found = defined(module, base)
    if len(found) != 1:
        what = f"{len(found)} subclasses of {base.__name__}"
        raise InputError(f"{folder[:-1]} file '{name}.py' defines {what}; allowed: exactly one")
    return found[0]


def discover(folder: str, base: type[T]) -> dict[str, type[T]]:
    """Return file name -> class of every file of a folder that defines one of ``base``, then of the user's own files.

    Raises:
        InputError: if a file defines several.
    """
    modules = _suite(folder) | {name: module for name, (_, module) in _plugins.items()}
    return {name: the_class(folder, name, module, base) for name, module in modules.items() if defined(module, base)}


@cache  # plans of many methods ask again and again
def _suite(folder: str) -> dict[str, ModuleType]:
    """Return file name -> module of every file of a folder of the package."""
    place = folder.replace("/", ".")
    return {name: importlib.import_module(f"latent_ot.{place}.{name}") for name in files(folder)}


def plug_in(path: Path) -> ModuleType:
    """Import a user's own file, once for as long as it stays as it is, and let what it defines be found.

    Raises:
        InputError: if it is no Python file, or cannot be imported, with the reason in one line.
    """
    path = path.resolve()
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"plugin '{path.name}' is not a Python file; allowed: a .py file with a class of the suite's")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"plugin '{path}' cannot be read: {error.strerror}") from None
    qualified = f"{PREFIX}{path.stem}_{hashlib.sha256(os.fsencode(path) + text).hexdigest()[:8]}"
    if qualified not in sys.modules:
        spec = importlib.util.spec_from_file_location(qualified, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[qualified] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # whatever a user's file does wrong
            del sys.modules[qualified]
            what = " ".join(str(error).split())
            raise InputError(f"plugin '{path.name}' cannot be imported: {type(error).__name__}: {what}") from None
    _plugins[path.stem] = path, sys.modules[qualified]
    return sys.modules[qualified]


def unplug(path: Path) -> None:
    """Let what a user's own file defines be found no more."""
    _plugins.pop(path.stem, None)


def plugin_of(cls: type) -> Path | None:
    """Return the user's own file that defines a class; None for one of the suite's."""
    return next((path for path, module in _plugins.values() if module.__name__ == cls.__module__), None)


def broken(cls: type, rule: str) -> ContractError:
    """Return the error of a class that breaks a rule of its kind: it names its file, a user's or the suite's."""
    path = plugin_of(cls)
    return ContractError(f"{path.name if path else cls.__module__.rpartition('.')[2] + '.py'}: {rule}")


def blamed(error: BaseException) -> str | None:
    """Return the file and the line of a user's own that an error came from; None if it went through none."""
    files, place, frame = {str(path): path.name for path, _ in _plugins.values()}, None, error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        place = f"{files[name]}, line {frame.tb_lineno}" if name in files else place
        frame = frame.tb_next
    return place


def plugin_files(*classes: type) -> dict[str, str]:
    """Return file name -> 16 hex digits of its hash, as it was imported, of the user's own files among classes'."""
    paths = [path for cls in classes if (path := plugin_of(cls)) is not None]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def literals(folder: str, attribute: str) -> Iterator[tuple[str, Any]]:
    """Yield (file name, value) of a class attribute that is written as a literal, without importing any file."""
    for name, path in files(folder).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for line in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(line, ast.Assign) and [ast.unparse(t) for t in line.targets] == [attribute]:
                    yield name, ast.literal_eval(line.value)
