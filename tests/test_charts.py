"""Flow charts say what the networks do, layer by layer."""

import pytest
import torch

from ganlib import charts
from ganlib.networks import build, family

LABELS = torch.zeros(2, dtype=torch.int64)


def traced(model: str) -> tuple[list[charts.Block], list[charts.Block]]:
    generator, discriminator = build(model)
    images = torch.zeros(2, 1, 32, 32)
    labels = (LABELS,) if family(model).conditional else ()
    return (
        charts.trace(generator, torch.zeros(2, 100), *labels),
        charts.trace(discriminator, images, *labels),
    )


def test_a_fully_connected_generator_is_traced():
    embedding, first, second, *_, last = traced("cgan")[0]
    assert embedding.embedding and embedding.lines == ["Embedding\n10 → 10"]
    assert first.lines == ["Linear\n110 → 128", "LeakyReLU"] and first.shape == (128,)
    assert second.lines == ["Linear\n128 → 256", "BatchNorm", "LeakyReLU"]
    assert last.lines == ["Linear\n1024 → 1024", "Tanh"]


def test_a_convolutional_generator_is_traced_with_its_up_sampling_and_cbn():
    first, second, third, last = traced("cbn-dcgan")[0]
    assert first.lines == ["Linear\n100 → 2048", "CBN", "LeakyReLU"] and first.shape == (128, 4, 4)
    assert second.lines == ["Upsample\nto 8 × 8", "Conv 3 × 3\n128 → 64", "CBN", "LeakyReLU"]
    assert (second.shape, third.shape) == ((64, 8, 8), (32, 16, 16))
    assert last.lines == ["Upsample\nto 32 × 32", "Conv 3 × 3\n32 → 1", "Tanh"]


def test_a_convolutional_discriminator_is_traced_with_its_projection():
    first, _, third, score, embedding = traced("cbn-dcgan-projection")[1]
    assert first.lines == ["Conv 4 × 4\nstride 2\n1 → 24", "LeakyReLU", "Dropout 0.25"]
    assert (first.shape, third.shape) == ((24, 16, 16), (96, 4, 4))
    assert score.lines == ["Linear\n1536 → 1"]
    assert embedding.embedding and embedding.lines == ["Embedding\n10 → 1536"]


@pytest.mark.parametrize("model", ["gan", "cgan", "cbn-cgan", "c-dcgan", "cbn-dcgan-projection"])
def test_a_chart_shows_every_block_and_where_the_label_enters(model):
    figure = charts.flow_chart(*build(model))
    conditional = family(model).conditional
    for axes, blocks in zip(figure.axes, traced(model)):
        written = [text.get_text() for text in axes.texts]
        assert all("\n".join(block.lines) in written for block in blocks)
        assert written.count("label y") == conditional
