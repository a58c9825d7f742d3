"""The picture of batch normalisation shows what the layer does."""

import torch
from conftest import networks_of
from torch import nn

from ganlib.figures import batch


def test_the_stages_are_those_of_the_layer():
    generator, _ = networks_of("cgan")
    norm = next(layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm1d))
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    inputs = torch.randn(50, 100), torch.arange(50) % 10
    arrives, normal, leaves = batch.stages(generator, norm, *inputs)
    torch.testing.assert_close(normal.mean(dim=0), torch.zeros(arrives.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(leaves, norm.train()(arrives), atol=1e-4, rtol=1e-4)
    norm.load_state_dict(
        {k.rpartition(".")[2]: v for k, v in before.items() if k.startswith("layers.3.")}
    )
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_the_figure_has_a_cloud_for_each_unit_at_each_stage():
    found = torch.randn(3, 20, 7)
    figure = batch.histograms(found, (4, 2))
    assert [len(axes.lines) for axes in figure.axes] == [7] * 3  # cloud, bar, tick; and zero
