"""Bad input is one line on stderr and exit code 2; reading results is fast because it imports no torch."""

import subprocess
import sys

import pytest

from latent_ot import cli


def run(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "--dataset", "mnits"], "nearest: mnist"),
        (["bench", "--dataset", "digits", "--budget", "shrt"], "nearest: short"),
        (["bench", "--dataset", "digits", "--methods", "glo,wgan"], "nearest: wgan_gp"),
        (["bench", "--dataset", "digits", "--seeds", "one"], "seeds 'one'"),
        (["bench", "--dataset", "digits", "--methods", "glo", "--set", "glo.lr=fast"], "glo: setting 'lr"),
        (["bench", "--dataset", "digits", "--track", "tensorbord"], "tracker 'tensorbord' is unknown"),
        (["bench", "--dataset", "digits", "--gpus", "99"], "gpus = 99"),
        (["bench", "--dataset", "mnist"], "mnist"),
        (["bench", "--dataset", "digits", "--subset", "100000"], "100000"),
        (["table", "gldo-table9"], "nearest: gldo-table"),
        (["sample", "glo", "--dataset", "digits"], "latent-ot train glo --dataset digits"),
        (["reconstruct", "ae_ot_sd", "--dataset", "moons"], "not trained"),
        (["train", "vae", "--dataset", "moons"], "vae takes images; moons holds 2-D points"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    code, err = run(monkeypatch, capsys, *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("words", ["table gldo-table1", "claims", "leaderboard"])
def test_commands_that_read_results_import_no_torch(words, tmp_path):
    code = (
        "import sys; sys.argv = ['latent-ot', *sys.argv[1:]]\n"
        "from latent_ot import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert not {'torch', 'lightning', 'wandb'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, *words.split(), "--leaderboards", str(tmp_path / "boards")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
