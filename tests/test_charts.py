"""Flow charts say what the networks do, layer by layer; no figure changes or cuts what it shows."""

import pytest
import torch
from conftest import PAIRS, copies, networks_of, same_tensors

from ganlib import data, sampling, training
from ganlib.families import family
from ganlib.figures import anatomy, charts, plotting
from ganlib.runs import store

LABELS = torch.zeros(2, dtype=torch.int64)


def traced(model: str) -> tuple[list[charts.Block], list[charts.Block]]:
    generator, discriminator = networks_of(model)
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
    figure = charts.flow_chart(*networks_of(model))
    conditional = family(model).conditional
    for axes, blocks in zip(figure.axes, traced(model)):
        written = [text.get_text() for text in axes.texts]
        assert all("\n".join(block.lines) in written for block in blocks)
        assert written.count("label y") == conditional


# --- Nothing is left behind ----------------------------------------------------------------------


def modes(*networks) -> list[bool]:
    return [part.training for network in networks for part in network.modules()]


def hooks(*networks) -> int:
    return sum(len(part._forward_hooks) for network in networks for part in network.modules())


def mixed(model: str):
    """Two networks whose parts are not all in one mode."""
    generator, discriminator = networks_of(model)
    generator.eval()
    next(generator.children()).train()
    discriminator.train()
    list(discriminator.modules())[-1].eval()
    return generator, discriminator


@pytest.mark.parametrize("model", PAIRS)
def test_every_pair_has_a_chart_and_stays_as_it_was(model):
    pair = mixed(model)
    before, state = modes(*pair), [copies(network) for network in pair]
    charts.flow_chart(*pair)
    assert modes(*pair) == before and hooks(*pair) == 0
    assert all(same_tensors(kept, network.state_dict()) for kept, network in zip(state, pair))


def test_spectral_normalisation_is_told_layer_by_layer():
    _, discriminator = traced("cbn-dcgan-spectral")
    plain = traced("cbn-dcgan-projection")[1]
    assert len(discriminator) == len(plain)
    assert all("SpectralNorm" in block.lines for block in discriminator)
    assert not any("SpectralNorm" in block.lines for block in plain)


def test_a_failed_trace_leaves_no_hook_and_no_mode_behind():
    generator, discriminator = mixed("cgan")
    before = modes(generator, discriminator)
    with pytest.raises(RuntimeError):
        charts.flow_chart(generator, discriminator, latent_dim=7)
    assert modes(generator, discriminator) == before and hooks(generator, discriminator) == 0


@pytest.mark.parametrize("model", ["c-dcgan", "cbn-dcgan-spectral"])
def test_looks_inside_leave_modes_and_weights_as_they_were(model):
    pair = mixed(model)
    before, state = modes(*pair), [copies(network) for network in pair]
    anatomy.receptive_fields(*pair, torch.zeros(1, 32, 32))
    anatomy.class_statistics(pair[0], torch.randn(20, 100), torch.arange(20) % 10)
    assert modes(*pair) == before and hooks(*pair) == 0
    assert all(same_tensors(kept, network.state_dict()) for kept, network in zip(state, pair))
    with pytest.raises(RuntimeError):
        anatomy.class_statistics(pair[0], torch.randn(20, 7), torch.arange(20) % 10)
    assert modes(*pair) == before and hooks(*pair) == 0


def test_drawing_leaves_modes_as_they_were_even_if_it_fails():
    generator, _ = mixed("cgan")
    before = modes(generator)
    sampling.generate(generator, torch.zeros(2, 100), LABELS)
    assert modes(generator) == before
    with pytest.raises(RuntimeError):
        sampling.generate(generator, torch.zeros(2, 7), LABELS)
    assert modes(generator) == before


# --- Nothing is cut off --------------------------------------------------------------------------


def shares(*counts: int) -> data.DigitImages:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return data.DigitImages(torch.zeros(len(labels), 1, 8, 8), labels, "digits", "train")


@pytest.mark.parametrize("counts", [(64, 4, 4, 4, 4, 4, 4, 4, 4, 4), (0,) * 9 + (5,), (1,) * 10])
def test_the_largest_class_fits_into_the_chart(counts):
    (axes,) = plotting.class_counts([shares(*[1] * 10), shares(*counts)]).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert max(heights) == pytest.approx(100 * max(counts) / sum(counts), rel=1e-5)
    assert axes.get_ylim()[1] > 1.1 * max(heights) and axes.get_ylim()[0] == 0


def test_bands_are_the_shares_of_digits_and_wide_ones_are_named():
    run = store.find_run("gan-eps0.8")
    _, axes = plotting.digits_over_epochs([store.find_run("gan"), run]).axes
    counts = run.metrics()[200]["class_counts"]
    bottom = 0
    for band, count in zip(axes.collections, counts, strict=True):
        at_end = [y for x, y in band.get_paths()[0].vertices if x == 200]
        assert min(at_end) == pytest.approx(bottom)
        bottom += 100 * count / sum(counts)
        assert max(at_end) == pytest.approx(bottom)
    for text in axes.texts:  # each stands in its own digit's band
        epoch, height = text.xy
        shares = [100 * count / sum(counts) for count in run.metrics()[epoch]["class_counts"]]
        digit = int(text.get_text())
        assert sum(shares[:digit]) < height < sum(shares[: digit + 1])
    assert len(axes.texts) > 5


@pytest.mark.parametrize("g_loss", [-0.7, 0.7])
def test_a_live_view_shows_losses_below_zero_too(g_loss):
    losses = torch.tensor([[g_loss, 1.0, 0, 0, 0.5, 0.5]] * 5)
    history = [training.Epoch(1, losses)]
    _, axes = plotting.live_training(torch.zeros(100, 1, 8, 8), history).axes
    low = axes.get_ylim()[0]
    assert low < g_loss and (low == 0) == (g_loss > 0)
