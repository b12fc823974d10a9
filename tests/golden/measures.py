"""Metrics on fixed arrays, networks on fixed inputs, evaluators on fixed images, and samples of a fixed pair."""

import importlib
import math
from functools import cache

import numpy as np
import torch
from golden.arrays import digits, images, statistics
from golden.stages import CATALOG, WIDTH, Case, base

from latent_ot.bench import sampling
from latent_ot.bench.train import as_tensor, build
from latent_ot.errors import InputError
from latent_ot.methods.base import Pair
from latent_ot.metrics.authenticity import Authenticity
from latent_ot.metrics.class_shares import class_distance
from latent_ot.metrics.cmmd import cmmd
from latent_ot.metrics.code_distance import code_distance
from latent_ot.metrics.code_floor import code_floor
from latent_ot.metrics.code_moments import moment_errors
from latent_ot.metrics.copy_test import CopyTest
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.imagenet import ImageNetLite
from latent_ot.metrics.evaluators.small import Small
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid, with_interval
from latent_ot.metrics.fid_held_out import FidHeldOut
from latent_ot.metrics.fid_inf import extrapolated
from latent_ot.metrics.inception_score import inception_score
from latent_ot.metrics.kid import kid
from latent_ot.metrics.latent import score_codes
from latent_ot.metrics.likelihood_gap import LikelihoodGap
from latent_ot.metrics.modes import mode_coverage
from latent_ot.metrics.prd import prd
from latent_ot.metrics.prdc import prdc
from latent_ot.metrics.psnr import psnr
from latent_ot.metrics.quality import hdr_threshold, quality_scores, reconstruction_errors
from latent_ot.metrics.quality_rank import QualityRank
from latent_ot.metrics.recognition import recognised
from latent_ot.metrics.score import score_images, score_points
from latent_ot.metrics.sharpness import Sharpness
from latent_ot.metrics.smoothness import smoothness
from latent_ot.metrics.ssim import ssim
from latent_ot.metrics.training import Training
from latent_ot.metrics.walk_modes import walks_on_modes
from latent_ot.networks.families import families
from latent_ot.stage import Spec, as_float


def normal(*shape, seed=0, scale=1.0, shift=0.0):
    """Return float32 normal draws of NumPy's generator."""
    draws = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    return torch.from_numpy((shift + scale * draws).astype(np.float32))


def pair_of_sets(n, d, m=None):
    """Return two sets of features (n, d), (m, d) of laws that overlap."""
    return normal(n, d), normal(m or n, d, seed=1, scale=1.1, shift=0.3)


def pictures(n=6, size=16):
    """Return two batches of float images (n, 3, size, size) in [0, 1], one the other with noise."""
    x = normal(n, 3, size, size).mul(0.2).add(0.5).clamp(0, 1)
    return x, (x + 0.1 * normal(n, 3, size, size, seed=1)).clamp(0, 1)


def points():
    """Return two times three draws (3, 150, 2) of points, the centres of four modes and their standard deviation."""
    modes = 2 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    real, fake = (
        normal(3, 150, 2, seed=s, scale=0.1).numpy() + modes[np.arange(450).reshape(3, 150) % k]
        for s, k in ((0, 4), (1, 3))
    )
    return real, fake, modes, 0.1


def quality():
    """Return errors, scores and thresholds of single images."""
    errors = reconstruction_errors(*pictures(40, 4))
    return {
        "errors": statistics(errors),
        "scores": statistics(quality_scores(errors / 4)),
        "thresholds": [hdr_threshold(errors, level) for level in (0.05, 0.5)],
    }


def curve(n, d):
    """Return both figures of PRD and its curve."""
    found = prd(*pair_of_sets(n, d), seed=3)
    both = {name: statistics(getattr(found, name)) for name in ("precision", "recall")}
    return {"f8": found.f8, "f1_8": found.f1_8, **both}


def with_names(prefix, metrics):
    """Return those of a record's metrics whose name begins so."""
    return {name: value for name, value in metrics.items() if name.startswith(prefix)}


def on_mixture(measure, *more):
    """Return what is measured of points near the modes of a mixture."""
    modes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.5]])
    return measure(0.4 * normal(60, 2), *more, modes, 0.3)


def copies(metric):
    """Return what a metric says of samples half of which lie near training points."""
    known, x = normal(400, 6), normal(200, 6, seed=2)
    x[:100] = known[:100] + 0.1 * x[:100]
    return metric.compute(Training.of(known, normal(150, 6, seed=1)), FeatureSet(x, x))


def half(estimate):
    """Return half the width of an estimate's interval."""
    return estimate.half


METRICS = {
    "Fid": {
        "many": lambda: fid(*pair_of_sets(300, 12)),
        "few": lambda: fid(*pair_of_sets(20, 40)),
        "interval": lambda: half(with_interval(*(FeatureSet(x, x) for x in pair_of_sets(300, 12)))),
    },
    "FidInf": {"halves": lambda: extrapolated(*pair_of_sets(300, 12), 1.0)},
    **{
        kind.__name__: {"near": lambda kind=kind: copies(kind)}
        for kind in (Authenticity, CopyTest, FidHeldOut, LikelihoodGap)
    },
    "InceptionScore": {
        "ten splits": lambda: list(inception_score(3 * normal(205, 10))),
        "in order": lambda: list(inception_score(3 * normal(60, 5, seed=1), splits=3, seed=None)),
    },
    "Kid": {
        "one subset": lambda: list(kid(*pair_of_sets(120, 16))),
        "interval": lambda: half(kid(*pair_of_sets(120, 16))[0]),
        "many": lambda: list(kid(*pair_of_sets(1100, 4, 1050))),
        "wide": lambda: list(kid(*pair_of_sets(40, 600))),
    },
    "PrecisionRecallCurve": {"both": lambda: curve(100, 3)},
    "Prdc": {
        "low": lambda: prdc(*pair_of_sets(200, 3)),
        "wide": lambda: prdc(*pair_of_sets(60, 600, 50), k=3),
    },
    "Cmmd": {"low": lambda: cmmd(*pair_of_sets(120, 6, 90)), "wide": lambda: cmmd(*pair_of_sets(40, 600))},
    "Psnr": {"noise": lambda: psnr(*pictures()), "equal": lambda: psnr(pictures()[0], pictures()[0])},
    "Ssim": {"noise": lambda: ssim(*pictures()), "bytes": lambda: ssim(*(x.mul(255).byte() for x in pictures(3, 24)))},
    "Smoothness": {
        "walks": lambda: smoothness(normal(5, 7, 3, 8).cumsum(dim=1).numpy()),
        "constant": lambda: smoothness(np.ones((2, 4, 3))),
    },
    "LatentCodes": {
        "apart": lambda: score_codes(normal(70, 5, seed=1, scale=1.1, shift=0.3), normal(60, 5, seed=2), normal(90, 5)),
        "repeated": lambda: score_codes(normal(90, 3)[:40], normal(40, 3, seed=2), normal(90, 3)),
    },
    "CodeDistance": {"apart": lambda: code_distance(normal(70, 5, seed=1), normal(60, 5, seed=2), normal(90, 5))},
    "Modes": {
        "some": lambda: mode_coverage(points()[1].reshape(-1, 2), *points()[2:]),
        "narrow": lambda: mode_coverage(points()[0].reshape(-1, 2), points()[2], 0.03),
    },
    "Quality": {"images": quality},
    "ClassShares": {"logits": lambda: class_distance(normal(300, 5), normal(200, 5, seed=1, shift=0.2))},
    "Recognition": {"logits": lambda: list(recognised(3 * normal(200, 5)))},
    "CodeFloor": {"codes": lambda: code_floor(normal(70, 5, seed=1), normal(60, 5, seed=2), normal(90, 5))},
    "CodeMoments": {"codes": lambda: moment_errors(*pair_of_sets(200, 5, 300))},
    "QualityRank": {"points": lambda: on_mixture(QualityRank.compute, normal(60, 2, seed=1).norm(dim=1))},
    "Sharpness": {
        "colour": lambda: Sharpness.compute(*pictures()),
        "bytes": lambda: Sharpness.compute(*(x[:, :1].mul(255).byte() for x in pictures())),
    },
    "WalkModes": {"walks": lambda: on_mixture(lambda x, *of: walks_on_modes(x.view(6, 10, 2).cumsum(dim=1), *of))},
    "OtDivergence": {
        "draws": lambda: with_names("ot", score_points(*points()[:2])),
        "one draw": lambda: with_names("ot", score_points(points()[0][0], points()[1][1])),
    },
}


def scores():
    """Return all metrics of one run, as an evaluation asks for them."""
    real, fake = (FeatureSet(x, 3 * x[:, :10]) for x in pair_of_sets(150, 12))
    metrics, curves = score_images(real, fake, seed=1)
    return {"images": metrics, "prd": curves["prd"]["precision"][::10], "points": score_points(*points())}


SHAPES = {
    "infogan": [(1, 16, 16), (3, 28, 28)],
    "mlp": [(1, 12, 12)],
    "sngan_resnet": [(1, 16, 16), (3, 64, 64)],
    "wgan_qc": [(1, 16, 16), (3, 128, 128)],
    "sdkl": [(1, 16, 16), (3, 28, 28)],
    "vaegan": [(1, 16, 16), (1, 28, 28), (3, 64, 64)],
    "toy": [(2,)],
}
"""Shapes of examples, for the families that treat some apart; for all others ``USUAL``."""
USUAL = [(1, 16, 16), (3, 32, 32)]
NORMS = (None, "none", "batch", "layer", "instance", "spectral")
LATENT = 5


def output(make, *inputs, **options):
    """Return statistics of a seeded network's output in training mode, and then in eval mode."""
    torch.manual_seed(0)
    net = make()
    with torch.no_grad():
        return {mode: statistics(net.train(mode == "train")(*inputs, **options)) for mode in ("train", "eval")}


def examples(shape):
    """Return four examples of a shape, in [-1, 1] or so."""
    return 0.5 * normal(4, *shape, seed=4)


def family(name):
    """Return the outputs of a family's networks."""
    kind, found = families()[name], {}
    for shape in SHAPES.get(name, USUAL):
        size, x, width = "x".join(map(str, shape)), examples(shape), 0.05 if shape[-1] > 32 else WIDTH
        z = normal(4, LATENT, seed=5)
        found[f"generator {size}"] = output(lambda s=shape, w=width: kind.generator(LATENT, s, w), z)
        for norm in NORMS:
            chosen = {} if norm is None else {"norm": norm}
            try:
                made = output(lambda s=shape, w=width, c=chosen: kind.critic(s, 1, w, **c), x)
            except InputError:
                continue
            found[f"critic {size} {norm}"] = made
        if hasattr(kind, "encoder"):
            found[f"encoder {size}"] = output(lambda s=shape, w=width: kind.encoder(s, LATENT, w), x)
    return found


def module(name):
    """Import a file of networks."""
    return importlib.import_module(f"latent_ot.networks.{name}")


def began():
    """Return the outputs of BEGAN's networks."""
    nets, shape = module("began"), (3, 16, 16)
    return {
        "generator": output(lambda: nets.Generator(LATENT, shape, WIDTH), normal(4, LATENT, seed=5)),
        "critic": output(lambda: nets.Critic(shape, LATENT, WIDTH), examples(shape)),
    }


def pggan():
    """Return the outputs of PGGAN's networks at two sizes, one of them fading in."""
    nets, shape, found = module("pggan"), (3, 16, 16), {}
    for detail in (0.0, 1.25, 2.0):
        size = 4 * 2 ** math.ceil(detail)
        z, x = normal(4, LATENT, seed=5), examples((3, size, size))
        found[f"generator {detail}"] = output(lambda: nets.Generator(LATENT, shape, WIDTH, 64), z, detail=detail)
        found[f"critic {detail}"] = output(lambda: nets.Critic(shape, WIDTH, 64), x, detail=detail)
        found[f"shrink {detail}"] = statistics(nets.shrink(examples(shape), detail, 3))
    return found


def fc():
    """Return the outputs of the fully connected autoencoder."""
    nets, shape = module("fc"), (1, 12, 12)
    return {
        "encoder": output(lambda: nets.Encoder(shape, LATENT, WIDTH), examples(shape)),
        "decoder": output(lambda: nets.Decoder(LATENT, shape, WIDTH), normal(4, LATENT, seed=5)),
    }


def mlp():
    """Return the outputs of fully connected networks with each activation and normalised."""
    make = module("mlp").Mlp
    found = {
        activation: output(lambda a=activation: make([3, 8, 8, 2], a), normal(4, 3, seed=5))
        for activation in module("mlp").ACTIVATIONS
    }
    return {**found, "norm": output(lambda: make([3, 8, 2], norm=True, bias=False), normal(4, 3, seed=5))}


def ema():
    """Return the output of an average of three networks."""
    make = module("ema").Ema

    def averaged():
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        average = make(net, 0.9)
        for _ in range(3):
            average.update_parameters(net)
            with torch.no_grad():
                for value in net.parameters():
                    value.add_(torch.randn_like(value))
        return average

    return {"average": output(averaged, normal(4, 3, seed=5))}


NETWORKS = {"began": began, "pggan": pggan, "fc": fc, "mlp.py": mlp, "ema": ema}
"""Files whose families have no pair of the common signature."""


def evaluator(name):
    """Return features and logits of real images, grey and in colour, of two sizes."""
    found, network = {}, load_evaluator(name)
    few = 6 if name in Small.names else 2
    for kind, x in (("grey", digits()[0][:few]), ("colour", images(3)[:few])):
        both = zip(("features", "logits"), network(as_tensor(np.ascontiguousarray(x))), strict=True)
        found |= {f"{kind} {part}": statistics(value) for part, value in both}
    return found


def evaluators():
    """Return the names of the packaged evaluators."""
    return [*Small.names, *ImageNetLite.names]


@cache
def pairs():
    """Return pairs to draw from: one whose sampler maps its source, and one whose extension chooses."""
    solved = base("grey")
    with torch.no_grad():
        codes = solved.representation.codes(as_tensor(images()))
    stage = CATALOG.stage("samplers", "gaussian")
    gaussian = build(stage, stage.Config(), Spec(tuple(codes.shape[1:]), len(codes), 1))
    gaussian.fit(codes)
    return {"gaussian": Pair(solved.representation, gaussian.eval()), "sdot": solved}


def samples(name):
    """Return what an evaluation draws from a pair."""
    model, x = pairs()[name], as_float(as_tensor(images()))[:5]
    rebuilt = sampling.rebuild(model, x, 1, 3)
    found = {"draw": sampling.draw(model, 501, 1), "rebuilt codes": rebuilt.codes, "rebuild": rebuilt.images}
    found["walk"] = sampling.walk(model, 2, 4, 1)
    with torch.no_grad():
        known = model.representation.codes(as_tensor(images()))
    for key, call in (
        ("draw_codes", lambda: sampling.draw_codes(model, 501, 1)),
        ("draw_between", lambda: sampling.draw_between(model, 20, 1)),
        ("draw_between codes", lambda: sampling.draw_between(model, 20, 1, known)),
    ):
        found[key] = call()
    return {key: statistics(value) for key, value in found.items()}


def inverted():
    """Return what a search over codes finds for a method trained end to end."""
    from golden.stages import run

    model = run(Case("dcgan", "methods", "grey"))[0]
    codes, rebuilt, halfway = sampling.rebuild(model, as_float(as_tensor(images()))[:5], 1, 8)
    return {"rebuilt codes": statistics(codes), "rebuild": statistics(rebuilt), "halfway": statistics(halfway)}


SCORING = {
    "gaussian": lambda: samples("gaussian"),
    "sdot": lambda: samples("sdot"),
    "inverted": inverted,
    "scores": scores,
}
