"""Every test draws the same random numbers each time; records to read are made here."""

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import hypothesis
import pytest
import torch

from latent_ot import discovery
from latent_ot.quantities import QUANTITIES
from latent_ot.record import Record, checked
from latent_ot.results import add

# No example is failed for being slow, and every machine draws the same ones.
hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

PROTOCOL = {
    "id": "mnist5k/mnist-1a2b3c4d/n1000/rec128x200",
    "evaluator": "mnist",
    "checksum": "1a2b3c4d" * 8,
    "n": 1000,
    "real": "train",
    "reconstruction": {"images": 128, "steps": 200},
}


def values(
    method: str = "gldo", seed: int = 0, metrics: dict[str, float] | None = None, **changes: Any
) -> dict[str, Any]:
    """A well-formed record as the runner writes it, with invented numbers."""
    record = {
        "schema": 2, "status": "done", "reason": None, "method": method, "paper": None,
        "stages": [{"stage": method, "key": f"{seed:016x}", "made_of": {"stage": {method: 1}}}],
        "dataset": "mnist5k", "dataset_content": "0123456789ab", "data": {"shape": [1, 32, 32]},
        "seed": seed, "threads": 1, "budget": "ci", "images_budget": 64000, "width": 0.5, "overrides": {}, "config": {},
        "metrics": {"fid": 10.0 + seed} if metrics is None else metrics, "facts": {}, "reasons": {}, "curves": {},
        "protocol": PROTOCOL, "images_seen": 64000, "updates": {"generator": 1000}, "parameters": 123456,
        "seconds": 12.5, "peak_memory_mb": 800, "machine": {"device": "a processor", "cores": 2, "threads": 1},
        "versions": {"latent_ot": "0.1.0"}, "commit": "0123456789ab", "command": f"latent-ot bench --methods {method}",
    }  # fmt: skip
    return record | changes


def made(*args: Any, **changes: Any) -> Record:
    return checked(values(*args, **changes))


@pytest.hookimpl(tryfirst=True)  # before what is not asked for is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the long suite all members but the first of a test that is marked ``one_quick``."""
    met = set()
    for item in items:
        if item.get_closest_marker("one_quick"):
            test = item.nodeid.partition("[")[0]
            if test in met:
                item.add_marker("slow")
            met.add(test)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once which test failed and why: a suite that is cut short prints no summary."""
    if report.failed:
        print(f"\n{report.nodeid} ({report.when}): {report.longreprtext.strip().rpartition(chr(10))[2]}", flush=True)


@pytest.fixture(autouse=True)
def seeded_draws():
    """Seed the global generator that networks draw their initial weights from."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """What one test plugs in is not there for the next."""
    monkeypatch.setattr(discovery, "_plugins", {})
    known = dict(QUANTITIES)
    yield
    for key in QUANTITIES.keys() - known.keys():
        del QUANTITIES[key]


@pytest.fixture
def record():
    """Make a record: ``record(method, seed, metrics, **changes)``."""
    return made


@pytest.fixture
def raw():
    """Make a record as a plain dictionary."""
    return values


@pytest.fixture
def board(tmp_path: Path):
    """Write records as a leaderboard folder and return it."""

    def write(*records: Record | dict[str, Any]) -> Path:
        add(tmp_path, records)
        return tmp_path

    return write


@pytest.fixture
def rich_board(board):
    """A board with two budgets, three seeds, every status, curves and a 2-D set."""

    def prd(level: float) -> dict[str, list[float]]:
        return {"precision": [0.0, level, level], "recall": [level, level, 0.0]}

    records = []
    for seed in range(3):
        for rank, method in enumerate(("gldo", "glo", "vae", "wae_mmd", "dcgan", "wgan_gp", "ae_ot_sd", "pca")):
            fid = 12.0 + 9 * rank + seed
            metrics = {"fid": fid, "is": 9.0 - rank, "kid": fid / 1000, "prd_f8": 0.9 - rank / 20, "precision": 0.7}
            metrics |= {"prd_f1_8": 0.8 - rank / 20, "recall": 0.6, "density": 0.8, "coverage": 0.7}
            reasons = {"psnr": "a GAN has no encoder"} if "gan" in method else {}
            metrics |= {} if reasons else {"psnr": 21.0 + rank + seed / 10, "ssim": 0.8}
            curve = [[n, fid * (1 + 2 * 8000 / n)] for n in (4000, 8000, 16000, 32000, 64000)]
            curves = {
                "fid": curve if method != "pca" else [],
                "prd": prd(0.95 - rank / 25 - seed / 100),
                "loss": {"x": [[64, None]]},
            }
            records.append(values(method, seed, metrics, reasons=reasons, curves=curves, facts={"collapsed": False}))
    records[5] |= {"status": "diverged", "reason": "loss is NaN after 6,400 images", "metrics": {}, "curves": {}}
    records.append(
        values("data", 0, {"fid": 0.81, "is": 9.8, "kid": 0.0001, "prd_f8": 0.99, "prd_f1_8": 0.99}, stages=[])
    )
    records.append(values("flow", 0, {}, status="declined", reason="takes points only"))
    short = {"budget": "short", "images_budget": 192000, "width": 1.0}
    records.append(values("gldo", 0, {"fid": 7.0}, **short))
    points = {"dataset": "grid25", "protocol": {"id": "grid25/n1000", "n": 1000}}
    records.append(values("ae_ot_sd", 0, {"ot_divergence": 0.0712, "modes": 25.0, "high_quality": 0.97}, **points))
    records.append(
        values("data", 0, {"ot_divergence": 0.0312, "modes": 25.0, "high_quality": 0.99}, stages=[], **points)
    )
    return board(*json.loads(json.dumps(records)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing is fetched while tests run, wherever they do."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
