"""What a folder of the package holds: each file defines classes of one kind, found and not registered."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules(package: str) -> list[ModuleType]:
    """Import every file of a package whose name does not begin with ``_``, in order."""
    folder = Path(str(importlib.import_module(package).__file__)).parent
    return [importlib.import_module(f"{package}.{path.stem}") for path in sorted(folder.glob("[!_]*.py"))]


def defined(module: ModuleType, base: type[T]) -> list[type[T]]:
    """Return the subclasses of ``base`` that a file defines itself."""
    found = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    return [v for v in found if issubclass(v, base) and v is not base]
