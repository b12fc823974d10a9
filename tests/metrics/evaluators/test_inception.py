import urllib.error

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as theirs

from latent_ot.errors import InputError
from latent_ot.files import sha256
from latent_ot.metrics.evaluators import inception
from latent_ot.metrics.evaluators.at_hand import INCEPTION
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.inception import Inception


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of the real format with random values."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = theirs.FeatureExtractorInceptionV3("random", ["2048"], verbose=False)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def images(n, channels):
    g = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, channels, 32, 32), generator=g, dtype=torch.uint8)


def test_it_is_torch_fidelitys_extractor(weights):
    ours = load_evaluator("inception", weights)
    their_network = theirs.FeatureExtractorInceptionV3("x", ["2048", "logits_unbiased"], str(weights))
    colour = images(2, 3)
    features, logits = ours(colour)
    expected_features, expected_logits = their_network(colour)
    assert torch.equal(features, expected_features)
    assert torch.equal(logits, expected_logits)
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    assert (ours.name, ours.checksum) == ("inception", sha256(weights))
    grey = images(1, 1)
    assert torch.equal(ours(grey)[0], ours(grey.repeat(1, 3, 1, 1))[0])


def test_without_weights_and_network_one_line_says_what_to_fetch(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(InputError) as error:
        Inception("inception")
    message = str(error.value)
    assert "\n" not in message
    for part in (theirs.URL_INCEPTION_V3, "--weights inception=FILE", "no route to host"):
        assert part in message


@pytest.mark.slow
def test_a_downloaded_file_is_used_again(weights, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception, "INCEPTION", INCEPTION._replace(url="https://example.org/inception-random.pth"))
    fetched = []

    def fetch(url, path, **kwargs):
        fetched.append(url)
        with open(path, "wb") as file:
            file.write(weights.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert Inception("inception").checksum == Inception("inception").checksum == sha256(weights)
    assert len(fetched) == 1


def test_the_stated_address_is_torch_fidelitys():
    assert INCEPTION.url == theirs.URL_INCEPTION_V3


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth' is not a file; fetch https"):
        Inception("inception", tmp_path / "none.pth")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    path = tmp_path / "inception.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"inception\.pth' is .*; allowed: the weights of .*Inception"):
        Inception("inception", path)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"\.pth' is damaged.*; allowed: the weights of .*Inception"):
        Inception("inception", tmp_path / "other.pth")


def test_a_file_whose_name_states_another_checksum_is_refused(tmp_path):
    path = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    path.write_bytes(b"half a download")
    with pytest.raises(InputError, match="allowed: 6726825d; fetch it again"):
        Inception("inception", path)


def test_a_pickle_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.exit, ("executed",))

    torch.save(Bomb(), tmp_path / "bomb.pth")
    with pytest.raises(InputError, match=r"\.pth' is damaged.*; allowed: the weights of .*Inception"):
        Inception("inception", tmp_path / "bomb.pth")
