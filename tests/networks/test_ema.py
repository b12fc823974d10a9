import torch
from torch import nn

from latent_ot.networks.ema import Ema


def test_it_begins_as_a_copy_and_then_follows_the_recursion_with_its_statistics():
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4)).double()
    average = Ema(net, 0.9)
    kept = None
    for step in range(4):
        for value in [*net.parameters(), net[1].running_mean, net[1].running_var]:
            value.data.normal_()
        average.update_parameters(net)
        now = {k: v.clone() for k, v in net.state_dict().items() if v.is_floating_point()}
        kept = now if step == 0 else {k: 0.9 * kept[k] + 0.1 * now[k] for k in now}
        for name, value in kept.items():
            torch.testing.assert_close(average.module.state_dict()[name], value)
    assert average.n_averaged == 4


def test_before_the_first_update_and_after_a_reload_it_is_what_its_state_says():
    net, other = nn.Linear(3, 4), nn.Linear(3, 4)
    average, loaded = Ema(net, 0.9), Ema(other, 0.9)
    average.update_parameters(other)
    loaded.load_state_dict(average.state_dict())
    for one in (average, loaded):
        one.update_parameters(net)
    assert torch.equal(average.module.weight, loaded.module.weight)
    assert "n_averaged" in average.state_dict()


def test_it_takes_no_gradient_and_passes_one_to_its_input():
    average, z = Ema(nn.Linear(3, 4), 0.9), torch.randn(2, 3, requires_grad=True)
    average.module(z).sum().backward()
    assert z.grad is not None
    assert not any(p.requires_grad for p in average.parameters())
