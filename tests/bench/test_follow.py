"""The curves of a finished model, from its snapshots to its end."""

from types import SimpleNamespace

import torch

from latent_ot.bench import follow as module
from latent_ot.bench.follow import Subject, follow
from latent_ot.bench.train import SNAPSHOTS
from latent_ot.methods.base import Method


class Followed(Subject):
    """One that saw 640 images; it needs no folders."""

    images = 640

    def snapshots(self):
        for share in SNAPSHOTS["image"]:
            yield int(share * self.images), self.model


def test_fid_is_followed_over_eight_places_and_an_adversary_once_it_has_learned(monkeypatch):
    monkeypatch.setattr(module, "_quality", lambda scorer, drawn: {"fid": float(drawn)})
    monkeypatch.setattr(module, "_contest", lambda *given: {"discriminator_auc": 0.7})
    monkeypatch.setattr(module, "draw", lambda model, n, seed: torch.tensor(9.0))
    method = Method.__new__(Method)
    torch.nn.Module.__init__(method)
    method.adversary = "D"
    drawn = SimpleNamespace(once=lambda name, make: make())
    scorer = SimpleNamespace(n=4, held_out=[0, 1], dataset=SimpleNamespace(kind="image", modes=None), drawn=drawn)
    curves = follow(Followed(method, {}, 0, scorer, None, None), torch.tensor(0.0), {"fid": 2.0}, {})
    assert curves["fid"] == [*((seen, 9.0) for seen in (5, 10, 20, 40, 80, 160, 320)), (640, 2.0)]
    assert [seen for seen, _ in curves["discriminator_auc"]] == [80, 160, 320, 640]
