"""A stage's key follows its code, not its words."""

from pathlib import Path

from latent_ot.bench import sources


def write(path: Path, text: str) -> str:
    path.write_text(text)
    sources._read.cache_clear()
    return sources.digest(path)


def test_comments_docstrings_and_layout_do_not_count(tmp_path):
    path = tmp_path / "m.py"
    first = write(path, '"""A."""\n\ndef f(x):\n    """B."""\n    return x + 1\n')
    assert write(path, '"""C."""\ndef f(x):\n    # why\n    return (x\n      + 1)\n') == first
    assert write(path, '"""A."""\n\ndef f(x):\n    """B."""\n    return x + 2\n') != first


def test_a_change_in_an_imported_module_counts(tmp_path, monkeypatch):
    package = tmp_path / "latent_ot"
    (package / "inner").mkdir(parents=True)
    monkeypatch.setattr(sources, "PACKAGE", package)
    top = package / "top.py"
    top.write_text("from latent_ot.inner import deep\n")
    (package / "inner" / "deep.py").write_text("from latent_ot import floor\nX = 1\n")
    (package / "floor.py").write_text("Y = 1\n")
    (package / "elsewhere.py").write_text("Z = 1\n")
    sources._read.cache_clear()
    first = sources.digest(top)
    (package / "elsewhere.py").write_text("Z = 2\n")
    sources._read.cache_clear()
    assert sources.digest(top) == first
    (package / "floor.py").write_text("Y = 2\n")
    sources._read.cache_clear()
    assert sources.digest(top) != first
