"""Tests mirror the package: ``tests/<folder>/test_<module>.py`` tests ``latent_ot/<folder>/<module>.py``.

A private module's test has no underscore before its name, and what several modules' names begin with may stand for all
of them. ``test_contract.py`` states what all parts of a folder keep: it finds them, so a new one need not be named.
"""

from pathlib import Path

import pytest

from latent_ot.discovery import PACKAGE, files

TESTS = Path(__file__).parent
SPANNING = {
    "bench/grid",
    "bench/upkeep",
    "benchmarks/claims/figures",
    "examples",
    "golden/golden",
    "bench/mixing",
    "bench/precision",
    "house",
    "notebook",
    "plugins",
    "readme",
    "regressions/regressions",
    "report/commands",
    "report/every_claim",
    "report/floors",
    "versions",
}
"""What spans several modules, or is none of the package's; as do all of ``faults``."""
NAMES = sorted(str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py"))


def named(name):
    """Return what a test file names, e.g. ``methods/glo``."""
    return name.removesuffix(".py").replace("test_", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_test_file_names_a_module(name):
    folder, _, module = named(name).rpartition("/")
    root = PACKAGE.parent if folder.startswith("benchmarks") else PACKAGE
    modules = {path.stem.lstrip("_") for path in (root / folder).glob("*.py")} | ({"contract"} if folder else set())
    known = module in modules or any(one.startswith(f"{module}_") for one in modules)
    assert known or named(name) in SPANNING or folder == "faults", (
        f"tests/{name} names no module of {folder or 'the package'}"
    )


@pytest.mark.parametrize("folder", ["datasets", "methods", "metrics", "networks", "samplers"])
def test_every_part_has_tests_of_its_own_or_keeps_its_folders_contract(folder):
    own = {named(name).rpartition("/")[2] for name in NAMES if name.startswith(f"{folder}/")}
    assert "contract" in own or not files(folder).keys() - own
