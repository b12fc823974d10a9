"""Each way in which a user's file breaks the contract of what it is: one line that names the file and the rule."""

import numpy as np
import pytest
import torch
from planning import dataset, planner

from latent_ot import discovery
from latent_ot.bench import contract, rehearsal
from latent_ot.bench.rehearsal import Part, refuse_broken, rehearse
from latent_ot.catalog import Catalog
from latent_ot.datasets.base import load
from latent_ot.errors import ContractError, InputError
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.score import score
from latent_ot.networks.families import networks
from latent_ot.rules import BASES, FOLDERS, breaches

METHOD = '''
"""The mean image."""
import torch
from latent_ot.methods.base import Method

class Own(Method):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.mean = torch.nn.Parameter(torch.zeros(spec.shape))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        loss = (batch.image - self.mean).square().mean()
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.update("mean", optimizer)
        self.observe(loss=loss)

    def sample(self, n, generator):
        return (self.mean + torch.randn(n, *self.mean.shape, generator=generator)).clamp(0, 1)
'''
SAMPLE = "return (self.mean + torch.randn(n, *self.mean.shape, generator=generator)).clamp(0, 1)"
REPRESENTATION = """
from torch import nn
from latent_ot.methods.base import Method

class Own(Method):
    role = "representation"
    closed_form = True
    latent_dim = 4

    def fit(self, images):
        pass

    def encode(self, x):
        return x.flatten(1)[:, :4]

    def decode(self, z):
        return z.sigmoid()[:, :1, None, None].expand(-1, *self.spec.shape)
"""
SAMPLER = """
import torch
from latent_ot.samplers.base import LatentSampler

class Own(LatentSampler):
    def _sample(self, n, generator):
        return torch.randn(n, self.dim, generator=generator)
"""
SOURCE = """
import numpy as np
from latent_ot.datasets.source import Source
from latent_ot.datasets.stream import Splits

class Own(Source):
    names = ("stripes",)
    version = 1
    evaluator = "digits"

    def view(self, name):
        return {}

    def read(self, name, data_dir, source=None):
        images = np.zeros((20, 16, 16, 1), np.uint8)
        return Splits(images[:15], images[15:])
"""
EVALUATOR = """
from latent_ot.metrics.evaluators.base import Evaluator

class Own(Evaluator):
    version = 1
    names = ("blocks",)

    def __init__(self, name, weights=None, device="cpu"):
        super().__init__(name, "0" * 64, device)

    def forward(self, images):
        features = images.float().flatten(1)[:, :8]
        return features, features
"""
METRIC = """
from latent_ot.metrics.base import Metric

class Own(Metric):
    version = 1
    quantities = {"brightness": {"label": "brightness", "direction": "down", "digits": 4}}
    measures = "pictures"

    @staticmethod
    def compute(real, fake):
        return {"brightness": 1.0}
"""
FAMILY = """
from torch import nn
from latent_ot.networks.base import UNIT, Family

def generator(latent_dim, shape, width=1.0):
    return nn.Sequential(nn.Linear(latent_dim, shape[0] * shape[1] * shape[2]), nn.Sigmoid(), nn.Unflatten(1, shape))

def critic(shape, out_dim=1, width=1.0, norm="none"):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], out_dim))

class Own(Family):
    version = 1
    name = "linear"
    data_range = UNIT
    generator = staticmethod(generator)
    critic = staticmethod(critic)
"""


@pytest.fixture
def plug(tmp_path):
    def write(text, name="own.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(call, *said):
    """Return the one line that a call is refused with."""
    with pytest.raises(InputError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line
    for part in said:
        assert part in line
    return line


def planned(path, method="own", **kind):
    """Plan a method, and rehearse here what a benchmark rehearses in a process of its own."""
    plans = planner(dataset(**kind), plugins=[path])
    plan = plans.training(method, 0)
    for own in plans.own:
        rehearse(Part(*own), plans.catalog)
    return plan


METHODS = {
    "a channel too few": (SAMPLE, SAMPLE.replace(".clamp", "[:, :0].clamp"), "sample returns (3, 0, 32, 32); allowed"),
    "n - 1 images": (SAMPLE, SAMPLE.replace("randn(n,", "randn(n - 1,"), "sample returns (2, 1, 32, 32); allowed"),
    "one image": (SAMPLE, SAMPLE + "[0]", "sample returns (1, 32, 32); allowed"),
    "-1 to 1": (SAMPLE, SAMPLE + " * 2 - 1", "values from -1 to 1; allowed: images in [0, 1]"),
    "0 to 255": (SAMPLE, SAMPLE + " * 255", "to 255; allowed: images in [0, 1]"),
    "nan": (SAMPLE, SAMPLE + " * float('nan')", "not finite"),
    "infinity": (SAMPLE, SAMPLE + " / 0", "not finite"),
    "integers": (SAMPLE, f"{SAMPLE}.mul(255).byte()", "sample returns torch.uint8; allowed: a tensor of floats"),
    "an array": (SAMPLE, SAMPLE + ".detach().numpy()", "sample returns ndarray; allowed: a tensor of floats"),
    "nothing": (SAMPLE, "pass", "sample returns NoneType"),
    "a shared generator": (", generator=generator", "", "sample draws from a shared generator"),
    "numpy's": (SAMPLE, "import numpy; " + SAMPLE + " * numpy.random.rand()", "sample draws from a shared generator"),
    "no draws": (SAMPLE, "return self.mean.expand(n, *self.mean.shape).clamp(0, 1)", "sample ignores its generator"),
    "its own seed": ("generator=generator", "generator=torch.Generator()", "sample ignores its generator"),
    "no parameters": (
        "self.mean = torch.nn.Parameter(torch.zeros(spec.shape))",
        "self.mean = torch.zeros(spec.shape)",
        "it trains by steps and has no parameters",
    ),
    "frozen": ("torch.zeros(spec.shape))", "torch.zeros(spec.shape), requires_grad=False)", "has no parameters"),
    "past the counter": ('self.update("mean", optimizer)', "optimizer.step()", "1 steps and self.update counted 0"),
    "twice": ('self.update("mean"', 'optimizer.step(); self.update("mean"', "2 steps and self.update counted 1"),
    "never": ('self.update("mean", optimizer)', "pass", "training_step steps no optimizer"),
    "counted only": ('self.update("mean", optimizer)', 'self.updates["a"] = 1', "0 steps and self.update counted 1"),
    "observes nothing": ("self.observe(loss=loss)", "pass", "training_step observes nothing"),
    "observes images": ("observe(loss=loss)", "observe(loss=batch.image)", "observe(loss=...) is given Tensor"),
    "no training": ("def training_step", "def other", "no training_step(batch, batch_idx)"),
    "no optimizers": ("def configure_optimizers", "def other", "no configure_optimizers()"),
    "no sample": ("def sample", "def other", "it has no sample(n, generator)"),
    "a role": ("def sample", "role = 'gan'\n\n    def sample", "role = 'gan'; allowed: 'representation', 'end_to_end'"),
    "accepts": ("def sample", "accepts = 'image'\n\n    def sample", "accepts = 'image'; allowed: a tuple"),
    "version": ("def sample", "version = '1'\n\n    def sample", "version = '1'; allowed: a whole number from 1"),
    "Config": ("def sample", "Config = dict\n\n    def sample", "allowed: a subclass of latent_ot.config.Config"),
}  # fmt: skip


@pytest.mark.parametrize("fault", METHODS)
def test_a_method(fault, plug):
    old, new, said = METHODS[fault]
    assert old in METHOD
    assert refused(lambda: planned(plug(METHOD.replace(old, new))), said).startswith("own.py: ")


REPRESENTATIONS = {
    "too long": ("[:, :4]", "[:, :5]", "codes returns (64, 5); allowed: codes (64, 4)"),
    "integers": ("[:, :4]", "[:, :4].long()", "codes returns torch.int64"),
    "no length": ("latent_dim = 4", "other = 4", "latent_dim = None"),
    "decodes -1": ("z.sigmoid()", "-1 - z.sigmoid()", "decode returns values from"),
    "decodes two": ("expand(-1", "expand(2 * len(z)", "decode"),
    "no fit": ("def fit", "def other", "closed_form = True and no fit(images)"),
    "no encoder": ("def encode", "def other", "a representation without decode(z)"),
}


@pytest.mark.parametrize("fault", REPRESENTATIONS)
def test_a_representation(fault, plug):
    old, new, said = REPRESENTATIONS[fault]
    text = REPRESENTATION.replace(old, new)
    if fault == "decodes two":
        text = REPRESENTATION.replace("return z.sigmoid()[:", "return z.sigmoid().repeat(2, 1)[:")
    refused(lambda: planned(plug(text)), "own.py: ", said)


SAMPLERS = {
    "too long": ("self.dim,", "self.dim + 1,", "sample returns (3, 3); allowed: codes (3, 2)"),
    "n - 1": ("randn(n,", "randn(n - 1,", "sample returns (2, 2)"),
    "a shared generator": (", generator=generator", "", "sample draws from a shared generator"),
    "no draws": ("return torch.randn(n, self.dim, generator=generator)", "return torch.zeros(n, self.dim)", "ignores"),
    "no sample": ("def _sample", "def other", "no _sample(n, generator)"),
    "no transport": ("def _sample", "maps = True\n\n    def _sample", "maps = True and no transport(w)"),
    "no steps": ("def _sample", "closed_form = False\n\n    def _sample", "no training_step(batch, batch_idx)"),
}


@pytest.mark.parametrize("fault", SAMPLERS)
def test_a_sampler(fault, plug):
    old, new, said = SAMPLERS[fault]
    refused(lambda: planned(plug(SAMPLER.replace(old, new)), "points+own", shape=(2,)), "own.py: ", said)


SOURCES = {
    "floats": ("np.uint8", "np.float32", "its train examples are float32 (15, 16, 16, 1); allowed: uint8"),
    "no channel": ("16, 16, 1)", "16, 16)", "its train examples are uint8 (15, 16, 16)"),
    "four channels": ("16, 16, 1)", "16, 16, 4)", "its train examples are uint8 (15, 16, 16, 4)"),
    "none held out": ("images[15:]", "images[20:]", "its test examples are uint8 (0, 16, 16, 1)"),
    "another size": ("images[15:]", "images[15:, :8]", "its test examples are uint8 (5, 8, 16, 1)"),
    "no arrays": ("images[:15]", "None", "its train examples are NoneType ()"),
    "labels": ("images[15:])", "images[15:], np.zeros(3))", "its train labels are (3,)"),
    "no splits": ("return Splits(images[:15], images[15:])", "return images", "read returns ndarray"),
    "a suite's name": ('"stripes"', '"digits"', "the name 'digits' is one of the suite's"),
    "no name": ('("stripes",)', '"stripes"', "names = 'stripes'; allowed: a tuple"),
    "a path": ('"stripes"', '"../stripes"', "names = ('../stripes',)"),
    "no version": ("version = 1", "", "version = None; allowed: a whole number"),
    "no view": ("def view", "def other", "Own does not define view"),
    "a kind": ("version = 1", "version = 1\n    kind = 'text'", "kind = 'text'; allowed: 'image', 'points'"),
}


@pytest.mark.parametrize("fault", SOURCES)
def test_a_data_set(fault, plug, tmp_path):
    old, new, said = SOURCES[fault]

    def read():
        Catalog([plug(SOURCE.replace(old, new))])
        load("stripes", tmp_path / "data")

    refused(read, "own.py: ", said)
    assert not (tmp_path / "data" / "stripes").exists()


EVALUATORS = {
    "features alone": ("return features, features", "return features", "forward returns Tensor"),
    "n - 1": ("return features, features", "return features[1:], features", "forward returns (2, 8)"),
    "nan": ("images.float()", "(images.float() / 0)", "not finite"),
    "integers": ("images.float()", "images", "forward returns torch.uint8"),
    "images": (".flatten(1)[:, :8]", "", "forward returns (3, 1, 16, 16)"),
    "a suite's name": ('"blocks"', '"digits"', "the name 'digits' is one of the suite's"),
}


@pytest.mark.parametrize("fault", EVALUATORS)
def test_an_evaluator(fault, plug):
    old, new, said = EVALUATORS[fault]

    def look():
        Catalog([plug(EVALUATOR.replace(old, new))])
        load_evaluator("blocks")(torch.zeros(3, 1, 16, 16, dtype=torch.uint8))

    refused(look, "own.py: ", said)


RESULTS = {
    "nan": ("1.0", "float('nan')", "brightness = nan; allowed: a finite number"),
    "infinity": ("1.0", "float('inf')", "brightness = inf"),
    "a word": ("1.0", "'high'", "brightness = 'high'"),
    "a switch": ("1.0", "True", "brightness = True"),
    "a bare number": ('{"brightness": 1.0}', "1.0", "compute returns float; allowed: a mapping"),
    "another key": ('{"brightness": 1.0}', '{"bright": 1.0}', "compute returns no brightness"),
    "measures": ('"pictures"', '"images of cats"', "measures = 'images of cats'; allowed: "),
    "quantities": ("quantities = {", "other = {", "quantities = None"),
    "no digits": (', "digits": 4', "", "quantity 'brightness'"),
    "a suite's key": ('"brightness": {', '"fid": {', "quantity 'fid' is one of the suite's"),
    "no compute": ("def compute", "def other", "no compute(...)"),
}


@pytest.mark.parametrize("fault", RESULTS)
def test_a_metric(fault, plug):
    old, new, said = RESULTS[fault]
    images = torch.zeros(16, 1, 16, 16, dtype=torch.uint8)

    def measure():
        Catalog([plug(METRIC.replace(old, new))])
        score("pictures", images, images)

    refused(measure, "own.py: ", said)


FAMILIES = {
    "a channel too many": ("Unflatten(1, shape)", "Unflatten(1, (1, *shape))", "generator returns (3, 1, 1, 32, 32)"),
    "its range": ("nn.Sigmoid()", "nn.Hardtanh(-5, -4)", "generator returns values from"),
    "two scores": ("out_dim))", "2 * out_dim))", "critic returns (3, 2); allowed: (3, 1)"),
    "no module": ("return nn.Sequential(nn.Flatten()", "return list, (nn.Flatten()", "it builds tuple"),
    "a suite's name": ('"linear"', '"infogan"', "the name 'infogan' is one of the suite's"),
    "no range": ("data_range = UNIT", "", "data_range = None"),
    "no critic": ("critic = staticmethod(critic)", "", "no critic"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAMILIES)
def test_a_family(fault, plug):
    old, new, said = FAMILIES[fault]
    assert old in FAMILY

    def build():
        Catalog([plug(FAMILY.replace(old, new))])
        networks("linear", 4, (1, 32, 32))

    refused(build, "own.py: ", said)


FILES = {
    "not UTF-8": (b"x = '\xff\xfe'\n", "own.py", "cannot be imported: SyntaxError"),
    "a syntax error": (b"def f(:\n", "own.py", "cannot be imported: SyntaxError"),
    "null bytes": (b"x = 1\0", "own.py", "cannot be imported"),
    "imports what is not there": (b"import no_such_thing\n", "own.py", "No module named 'no_such_thing'"),
    "leaves": (b"import sys; sys.exit(7)\n", "own.py", "cannot be imported: SystemExit: 7"),
    "raises many lines": (b"raise ValueError('a\\nb\\x1b[31m')\n", "own.py", "ValueError: a b"),
    "empty": (b"", "own.py", "defines no part of a suite"),
    "no Python": (METHOD.encode(), "own.txt", "is not a Python file"),
    "a suite's method": (METHOD.encode(), "vae.py", "vae.py: method 'vae' is one of the suite's"),
    "a suite's pair": (METHOD.encode(), "ae_ot_sd.py", "has the name of a method of the suite"),
    "a suite's sampler": (SAMPLER.encode(), "sdot.py", "sdot.py: sampler 'sdot' is one of the suite's"),
    "every method's name": (METHOD.encode(), "all.py", "allowed: letters, digits, _ and -"),
    "a sum": (METHOD.encode(), "a+b.py", "allowed: letters, digits, _ and -"),
    "a space": (METHOD.encode(), "a b.py", "allowed: letters, digits, _ and -"),
    "two methods": ((METHOD + METHOD.replace("Own", "Other")).encode(), "own.py", "defines 2 subclasses of Method"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_file(fault, plug):
    text, name, said = FILES[fault]
    line = refused(lambda: Catalog([plug(text, name)]), name, said)
    assert line.isprintable()
    assert not discovery._plugins or fault not in ("a suite's method",)


def test_a_latin_1_file_that_says_so_is_read(plug):
    text = '# -*- coding: latin-1 -*-\n"""Mean of caf\xe9."""\n' + METHOD.replace('"""The mean image."""', "")
    assert Catalog([plug(text.encode("latin-1"))]).summary("methods", "own") == "Mean of caf\xe9."


def test_two_files_of_one_name(plug, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "own.py").write_text(METHOD)
    refused(lambda: Catalog([plug(METHOD), tmp_path / "other" / "own.py"]), "has the name of")
    Catalog([plug(METHOD), plug(METHOD)])
    source = plug(SOURCE, "first.py"), plug(SOURCE, "second.py")
    refused(lambda: Catalog(source), "second.py: the name 'stripes' is that of 'first.py'")


@pytest.mark.parametrize(
    ("text", "method", "kind"),
    [(METHOD, "own", {}), (REPRESENTATION, "own+gmm", {}), (SAMPLER, "points+own", {"shape": (2,)})],
)
def test_a_file_that_keeps_them_is_planned(text, method, kind, plug):
    assert planned(plug(text), method, **kind).declined is None


def test_what_a_part_raises_of_its_own_is_left_to_its_row(plug):
    text = METHOD.replace("loss = (", "raise RuntimeError('mine')\n        loss = (")
    with pytest.raises(RuntimeError, match="mine"):
        planned(plug(text))


@pytest.mark.slow
def test_a_benchmark_rehearses_in_a_process_of_its_own(plug, monkeypatch):
    part = Part("train", "own", {}, (1, 8, 8))
    fine = ("raise RuntimeError", "import os; os._exit(9)", "while True: pass")
    monkeypatch.setattr(rehearsal, "SECONDS", 20.0)
    for text in (METHOD, *(METHOD.replace("loss = (", f"{fault}\n        loss = (") for fault in fine)):
        refuse_broken([part], [plug(text)])
    refused(lambda: refuse_broken([part], [plug(METHOD.replace(SAMPLE, f"{SAMPLE} * 255"))]), "own.py: sample returns")


def test_a_fault_of_a_users_file_is_told_from_one_of_the_suite(plug):
    Catalog([path := plug(METHOD.replace("super().__init__(config, spec)", "1 / 0"))])
    with pytest.raises(ZeroDivisionError) as error:
        Catalog([path]).stage("methods", "own")(None, None)
    assert discovery.blamed(error.value) == "own.py, line 8"
    assert discovery.blamed(ValueError()) is None


@pytest.mark.parametrize("kind", BASES)
def test_the_suites_own_classes_keep_the_rules(kind):
    for name, part in discovery.discover(FOLDERS[kind], BASES[kind]).items():
        if name in ("folder", "idx", "quality"):  # without names or quantities of their own
            continue
        rules = [rule for rule in breaches(kind, part) if "one of the suite's" not in rule]
        assert not rules, name


SLOW = (  # a second or more each
    "iwgan", "sdot", "wgan", "wgan_qc", "wgan_div", "wgan_gp", "gan", "gan_kl", "began", "ctgan", "sdkl", "sdkl_ns",
    "vaegan", "vae_adv_perc", "pggan", "sngan",
)  # fmt: skip
OWN = [(kind, name) for kind in ("methods", "samplers") for name in discovery.files(kind)]


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(*one, marks=[pytest.mark.slow] if one[1] in SLOW else []) for one in OWN]
)
def test_the_suites_own_methods_and_samplers_pass_the_same_rehearsal(kind, name):
    catalog = Catalog()
    stage = catalog.stage(kind, name)
    if getattr(stage, "refines", None):
        pytest.skip("it starts from a trained pair: its own tests train it by the same runner")
    shape = (1, 32, 32) if kind == "methods" and "image" in stage.accepts else (2,) if name == "points" else (8,)
    settings = stage.defaults(shape, {}) if kind == "methods" else {}
    rehearse(Part("train" if kind == "methods" else "sampler", name, settings, shape), catalog)


def test_what_is_looked_at_is_an_error_of_its_own():
    assert issubclass(ContractError, InputError)
    assert np.isclose(contract.SLACK * 255, 0.5)
