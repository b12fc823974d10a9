"""The third generator of GLDO's Table 7."""

import pytest
import torch
from driving import count
from torch import nn

from latent_ot.errors import InputError
from latent_ot.methods.gldo import Gldo
from latent_ot.methods.glo import Glo
from latent_ot.networks.gldo import Generator
from latent_ot.published import load_table
from latent_ot.stage import Batch, Spec


def printed(codes):
    """Parameters of the layers that Table 7 prints, from its own (input, output, kernel) triples."""
    convolutions = [(512, 512, 4), (512, 512, 4), (512, 256, 4), (256, 128, 4), (128, 64, 4), (64, 3, 3)]
    weights = codes * 512 * 4 * 4 + sum(i * o * k * k for i, o, k in convolutions)
    norms = 2 * (512 * 4 * 4 + 512 + 512 + 256 + 128 + 64)
    return weights + norms + 3  # the head's biases


def test_it_has_the_parameters_of_the_printed_layers():
    assert count(lambda: Generator(100, (3, 128, 128))) == printed(100)
    assert round(printed(100) / 1e6, 1) == 12.0
    assert count(lambda: Generator(512, (3, 128, 128))) == printed(512)


@pytest.mark.parametrize(("size", "maps"), [(128, [8, 16, 32, 64, 128]), (64, [8, 16, 32, 64]), (8, [8])])
@pytest.mark.parametrize("channels", [1, 3])
def test_its_maps_double_from_four_pixels_and_its_images_are_signed(size, maps, channels):
    net, heard = Generator(10, (channels, size, size), 0.05), []
    for layer in net:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, i, out: heard.append(out.shape[-1]))
    image = net(5 * torch.randn(3, 10))
    assert (heard, image.shape) == (maps, (3, channels, size, size))
    assert -1 < image.min() < 0 < image.max() < 1


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (1, 32, 64), (1, 4, 4), (2, 32, 32), (3, 256, 256)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"gldo networks: shape .*allowed"):
        Generator(10, shape)


@pytest.mark.parametrize("method", [Glo, Gldo])
def test_glo_takes_it_with_its_rates_at_128_pixels_and_wherever_it_is_chosen(method):
    rates = {"lr": 0.005, "lr_z": 0.05, "halve_every": 10}
    assert method.defaults((3, 128, 128), {}) == {"network": "gldo", "latent_dim": 256, **rates}
    assert method.defaults((3, 64, 64), {"network": "gldo"}) == rates
    assert method.defaults((3, 64, 64), {}) == method.defaults((1, 32, 32), {}) == {}
    assert method.defaults((3, 128, 128), {"network": "infogan"}).keys() == {"network", "latent_dim"}


@pytest.mark.parametrize("table", ["gldo-table1", "gldo-table2", "gldo-table3"])
def test_the_bedrooms_of_the_tables_have_it(table):
    spec = load_table(table)
    (column,) = [column for column in spec.columns if column.dataset == "lsun_bedroom64"]
    rows = {row.label: spec.asked(row, column) for row in spec.rows}
    assert rows["GLO"] == ("glo_p", {"glo": {"network": "gldo"}})
    assert rows["GLDO"] == ("gldo_p", {"gldo": {"network": "gldo"}})


@pytest.mark.parametrize("method", [Glo, Gldo])
def test_its_loss_and_its_images_are_in_the_unit_range(method):
    config = method.Config(network="gldo", latent_dim=5, batch_size=4)
    made = method(config, Spec((1, 16, 16), 8, 100, 0.05))
    z = torch.randn(4, 5)
    image = made.decode(z)
    torch.testing.assert_close(image, (made.G(z) + 1) / 2)
    heard = []
    made.image_losses = lambda output, x: heard.append(output) or (output - x).square().flatten(1).mean(dim=1)
    made.move_generator = made.move_codes = made.follow = made.observe = lambda *args, **named: None
    made.training_step(Batch(torch.arange(4), torch.rand(4, 1, 16, 16)), 0)
    assert 0 <= heard[0].min() < 0.5 < heard[0].max() <= 1
