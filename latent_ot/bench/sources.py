"""The source that a stage is made of: part of its key, so that what changed is trained again and nothing else."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def _read(path: Path) -> tuple[str, frozenset[Path]]:
    """Return the digest of a file's code (not of comments, layout, docstrings) and the package files it imports."""
    tree = ast.parse(path.read_text())
    imports: set[Path] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            head, *rest = name.split(".")
            file = PACKAGE.joinpath(*rest).with_suffix(".py")
            if head == PACKAGE.name and rest and file.is_file():
                imports.add(file)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(imports)


BENCH = Path(__file__).parent


def stage_digest(role: str, stage: Path | None = None) -> str:
    """Return the digest of what trains (``stage``: the file that defines it), or of "reconstruct" or "evaluate"."""
    return digest(BENCH / f"{role}.py") if stage is None else digest(stage, BENCH / "train.py")


def digest(*files: Path) -> str:
    """Return one digest of ``files`` and every module of the package that they import, directly or not."""
    pending, seen = list(files), set[Path]()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(_read(path)[1])
    return hashlib.sha256("".join(sorted(_read(path)[0] for path in seen)).encode()).hexdigest()
