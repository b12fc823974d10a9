import importlib.util
import os

import pytest

from latent_ot.bench import tracking
from latent_ot.errors import InputError

needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is an optional extra")


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """A machine without an account."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [n for n in os.environ if n.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)


def test_without_wandb_the_answer_is_one_line_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install latent_ot\[wandb\]"):
        tracking.Tracker(tmp_path)
    assert tracking.state()[0] == "missing"


@needs_wandb
def test_the_mode_is_offline_without_a_key_online_with_one_and_otherwise_as_asked(monkeypatch, tmp_path):
    assert tracking.state()[0] == "offline"
    (tmp_path / "home").mkdir()
    logins = tmp_path / "home" / ".netrc"
    logins.write_text(f"machine {tracking.HOST} login user password invented\n")
    logins.chmod(0o600)
    assert tracking.state()[0] == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking.state()[0] == "disabled"


@needs_wandb
def test_an_offline_run_keeps_its_id_and_resumes_under_it(record, raw, tmp_path, capsys):
    curves = {"fid": [[64, 3.0], [128, 2.0]], "loss": {"rec": [[64, 0.5], [128, None]]}}
    run = raw(curves=curves)
    for _ in range(2):
        tracking.track(run, None, tmp_path / "w")
    logs = list((tmp_path / "w" / "wandb").glob("offline-run-*"))
    key = run["stages"][-1]["key"]
    assert logs
    # Two parts begun within one second differ by a number that wandb adds after the id.
    assert {folder.name.split("-")[3] for folder in logs} == {key}
    data = b"".join(p.read_bytes() for folder in logs for p in folder.glob("*.wandb"))
    for text in (b"gldo-0-ci", b"mnist5k", b"curve/fid", b"loss/rec", b"images_seen"):
        assert text in data
    assert "offline" in capsys.readouterr().err
