"""Bad input is one line on stderr and exit code 2; reading results is fast because it imports no torch."""

import json
import subprocess
import sys

import pytest
import yaml

from latent_ot import cli
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request


def run(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr().err


def intervals(path, protocol):
    """Write intervals of a row of a table."""
    terms = {"table": "gldo-table4", "dataset": "digits_100", "budget": "smoke", "protocol": protocol, "level": 0.999}
    path.write_text(yaml.safe_dump({**terms, "runs": {"own": [0, 1]}, "rows": {"GLO_L2": {"fid": [1.0, 2.0]}}}))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "--dataset", "mnits"], "nearest: mnist"),
        (["bench", "--dataset", "digits", "--budget", "shrt"], "nearest: short"),
        (["bench", "--dataset", "digits", "--methods", "glo,wgan_pg"], "nearest: wgan_gp"),
        (["bench", "--dataset", "digits", "--seeds", "one"], "seeds 'one'"),
        (["bench", "--dataset", "digits", "--methods", "glo", "--set", "glo.lr=fast"], "glo: setting 'lr"),
        (["bench", "--dataset", "digits", "--track", "tensorbord"], "tracker 'tensorbord' is unknown"),
        (["train", "vae", "--dataset", "digits", "--track", "csv,wandp"], "nearest: wandb"),
        (["table", "gldo-table1", "--track", "mlflow"], "tracker 'mlflow' is unknown"),
        (["bench", "--dataset", "digits", "--time-limit", "50"], "time limit '50'; allowed: hours, minutes, seconds"),
        (["bench", "--dataset", "digits", "--gpus", "99"], "gpus = 99"),
        (["sample", "glo", "--dataset", "digits", "--gpus", "99"], "gpus = 99"),
        (["train", "glo", "--dataset", "digits", "--gpus", "99"], "gpus = 99"),
        (["plan", "--dataset", "digits", "--methods", "wgan_pg"], "nearest: wgan_gp"),
        (["bench", "--dataset", "mnist"], "mnist"),
        (["bench", "--dataset", "digits", "--subset", "100000"], "100000"),
        (["table", "gldo-table9"], "nearest: gldo-table"),
        (["table"], "give one ID, or --all"),
        (["table", "gldo-table1", "--all"], "give one ID, or --all"),
        (["table", "gldo-table1", "--run", "--budget", "shrt"], "nearest: short"),
        (["table", "gldo-table2", "--run", "--dataset", "fashion_mnist"], "latent-ot prepare fashion_mnist"),
        (["table", "gldo-table4", "--against", "f.yaml"], "--against 'f.yaml' without --run; allowed: with it"),
        (["table", "gldo-table4", "--run", "--against", "none.yaml"], "'none.yaml' is missing"),
        (["table", "gldo-table2", "--run", "--against", "f.yaml"], "allowed: 'gldo-table4'"),
        (["table", "gldo-table4", "--run", "--against", "f.yaml", "--dataset", "mnist5k"], "allowed: 'digits_100'"),
        (["table", "gldo-table4", "--run", "--against", "f.yaml", "--budget", "ci"], "allowed: 'smoke'"),
        (["table", "gldo-table4", "--run", "--against", "f.yaml"], "against f.yaml; allowed: 'digits_100/other'"),
        (["sample", "glo", "--dataset", "digits"], "latent-ot train glo --dataset digits"),
        (["reconstruct", "ae_ot_sd", "--dataset", "moons"], "not trained"),
        (["train", "vae", "--dataset", "moons"], "vae takes images; moons holds 2-D points"),
        (["train", "glo", "--dataset", "digits", "--budget", "smoke", "--force", "goo"], "nearest: glo"),
        (["bench", "--dataset", "digits", "--methods", "pca", "--force", "pac"], "nearest: pca"),
        (["publish"], "publish: 0 records are chosen"),
        (["publish", "--seeds", "first"], "seeds 'first'"),
        (["prune"], "store 'runs': there is none"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    intervals(tmp_path / "f.yaml", "digits_100/other")
    monkeypatch.delenv("LATENT_OT_DATA", raising=False)
    code, err = run(monkeypatch, capsys, *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("fid", "code", "said"),
    [
        (1.5, 0, "every figure lies in its interval: 1 (f.yaml)"),
        (
            2.5,
            1,
            "GLO_L2, seed 0: fid = 2.5 is outside [1, 2], the interval of 99.9% of runs at a further seed, by 2 seeds",
        ),
    ],
)
def test_a_table_with_a_figure_outside_its_interval_ends_with_1(fid, code, said, monkeypatch, capsys, tmp_path, raw):
    (protocol,) = Benchmark(Request("digits_100", [], [0], "smoke", tmp_path / "data", tmp_path / "runs")).protocols
    intervals(tmp_path / "f.yaml", protocol.id)

    def rerun(spec, asked, say, ended, tracking):
        assert (asked.dataset, asked.budget, [row.label for row in spec.rows]) == ("digits_100", "smoke", ["GLO_L2"])
        terms = {"dataset": "digits_100", "budget": "smoke", "protocol": {"id": protocol.id, "n": protocol.n}}
        ended(raw("glo", 0, {"fid": fid}, **terms))
        return {"mnist": "digits_100"}, False

    monkeypatch.chdir(tmp_path)

    def published(boards, store):
        pytest.fail("records that were published were compared with today's code, which have no part in it")

    monkeypatch.setattr("latent_ot.bench.rerun.rerun", rerun)
    monkeypatch.setattr("latent_ot.bench.currency.published", published)
    monkeypatch.setattr(cli, "write_store_pages", lambda store: None)
    found, err = run(monkeypatch, capsys, "table", "gldo-table4", "--run", "--against", "f.yaml")
    assert found == code, err
    assert said in err


def test_a_record_of_a_later_form_is_one_line(monkeypatch, capsys, tmp_path):
    path = tmp_path / "leaderboards" / "results" / "digits--pca--ci--s0.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 99}')
    monkeypatch.chdir(tmp_path)
    for words in ("claims", "table gldo-table1", "leaderboard", "leaderboard --check"):
        code, err = run(monkeypatch, capsys, *words.split())
        assert code == 2
        assert "schema 99; allowed: 2; a newer latent_ot wrote it" in err
        assert err.count("\n") == 1
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [path.name]


def test_a_store_that_takes_no_files_is_one_line_and_exit_code_3(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    store, data = str(tmp_path / "file" / "runs"), str(tmp_path / "data")
    where = ["--dataset", "digits", "--budget", "smoke", "--store", store, "--data-dir", data]
    for words in (["bench", "--methods", "pca"], ["train", "pca"]):
        code, err = run(monkeypatch, capsys, *words, *where)
        assert code == 3
        assert f"store '{store}' cannot be written" in err
        assert err.count("\n") == 1


def test_list_says_the_same_to_a_program(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["latent-ot", "list", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    found = json.loads(capsys.readouterr().out)
    methods = {method.pop("name"): method for method in found["methods"]}
    assert methods["ae_ot_sd"] | {"about": ""} == {
        "stages": ["ae", "sdot"], "paper": "aeotgan", "trains_on": ["images", "points"], "about": "",
    }  # fmt: skip
    assert methods["wgan_gp"]["stages"] == ["wgan_gp"]
    assert methods["vae"]["paper"] == "https://arxiv.org/abs/1312.6114"
    assert methods["gldo"]["paper"].startswith("Optimizing Latent Distributions")
    assert "gldo" in found["representations"]
    assert "dcgan" not in found["representations"]
    assert {"sdot", "gaussian"} <= set(found["samplers"])
    assert {"moons", "mnist5k"} <= set(found["datasets"])
    assert "mnist" in found["evaluators"]
    assert "gldo-table1" in found["tables"]


def test_doctor_says_what_is_missing_and_what_to_do_and_fetches_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["latent-ot", "doctor", "--data-dir", str(tmp_path), "--store", str(tmp_path / "none")]
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(SystemExit):
        cli.main()
    said = {line[:24].strip(): line[25:] for line in capsys.readouterr().out.splitlines()}
    assert said["torch"]
    assert said["data mnist5k"] == "ready"
    assert "latent-ot prepare cifar10" in said["data cifar10"]
    assert said["evaluator mnist"].startswith("ready, sha256 ")
    assert "--weights inception=FILE" in said["evaluator inception"]
    assert said["wandb"]
    assert said["store"].startswith("none at ")
    assert {*tmp_path.iterdir()} == set()


@pytest.mark.one_quick
@pytest.mark.parametrize("words", ["table gldo-table1", "table --all --format json", "claims", "leaderboard", "page"])
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
