"""Training under autocast to bfloat16: a setting of its own, never the default, that every method trains with."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from driving import run
from golden import stages

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.bench.train import in_precision
from latent_ot.errors import InputError
from latent_ot.losses.gradient_penalty import interpolates
from latent_ot.methods.gan import GanConfig, VanillaGan
from latent_ot.stage import Spec

LOWERED = [
    name
    for name in sorted(stages.CATALOG.files["methods"])
    if "precision" in stages.CATALOG.stage("methods", name).Config.model_fields
]


QUICK = {"began", "glo", "rae_gp", "sdkl", "vae", "wgan_gp"}
"""One of each kind of place where two types meet: running means, interpolations, penalties."""


def test_every_method_that_is_trained_by_steps_has_the_setting_and_no_other():
    by_steps = {p for p in stages.CATALOG.files["methods"] if not stages.CATALOG.stage("methods", p).closed_form}
    assert {*LOWERED} == by_steps


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in LOWERED])
def test_every_method_trains_in_bfloat16_and_keeps_its_weights_in_float32(name, tmp_path):
    settings = {"precision": "bf16"} | ({"long_first": 0} if name == "wgan" else {})
    with patch.object(stages, "STEPS", 2):
        stage = stages.built(stages.Case(name, "methods", "grey", settings))
    kinds = set()

    def see(module, args, output):
        kinds.update(x.dtype for x in (output if isinstance(output, tuple | list) else [output]) if torch.is_tensor(x))

    for module in stage.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(see)
    result = run(stage, stages.DATA["grey"](), tmp_path)
    assert torch.bfloat16 in kinds
    assert result["images_seen"] == 2 * stage.rows_per_step
    assert all(p.dtype == torch.float32 for p in stage.parameters())


def test_a_step_never_computes_with_weights_of_before_its_last_update():
    """Autocast keeps casts of weights for as long as it lasts; a second step of the critic must not see old ones."""
    stage = VanillaGan(GanConfig(precision="bf16", batch_size=2), Spec((1, 16, 16), 10, 100, 0.05))
    (linear,) = [m for m in stage.D.modules() if isinstance(m, torch.nn.Linear)][:1]
    x, seen = torch.ones(1, linear.in_features), []

    def step(batch, batch_idx):
        for _ in range(2):
            seen.append(linear(x))
            with torch.no_grad():
                linear.weight.add_(1)

    stage.training_step = step
    in_precision(stage, torch.device("cpu"))(None, 0)
    assert seen[0].dtype == torch.bfloat16
    assert not torch.equal(*seen)


def test_points_between_images_of_two_types_are_of_the_real_ones():
    real, fake, t = torch.rand(3, 2), torch.rand(3, 2, dtype=torch.bfloat16), torch.rand(3)
    found = interpolates(real, fake, t)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.lerp(fake.float(), real, t[:, None]))


def test_the_option_is_a_setting_of_every_part_and_the_default_names_no_stage_anew(tmp_path):
    asked = Request("digits", ["glo", "pca", "vae"], store=tmp_path, data_dir=tmp_path)
    plain, lowered = Benchmark(asked), Benchmark(replace(asked, precision="bf16", overrides={"vae": {"lr": 0.5}}))
    assert lowered.request.overrides == {"glo": {"precision": "bf16"}, "vae": {"precision": "bf16", "lr": 0.5}}
    own = Benchmark(replace(asked, precision="bf16", overrides={"vae": {"precision": "float32"}}))
    assert own.request.overrides["vae"] == {"precision": "float32"}
    jobs = [b.planner.training("glo", 0).stages[0].job for b in (plain, lowered)]
    assert "precision" not in jobs[0]["config"]
    assert jobs[1]["config"]["precision"] == "bf16"
    with pytest.raises(InputError, match=r"precision 'bf16': none of pca is trained by steps"):
        Benchmark(replace(asked, methods=["pca"], precision="bf16"))
