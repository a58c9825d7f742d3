"""The convolutional networks: their layers, how far each pixel reaches, and how they start."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from conftest import networks_of, of_kind
from torch import nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from ganlib.families import MODELS, n_parameters
from ganlib.losses import BCE
from ganlib.models.convolutional import ConvolutionalDiscriminator, UpConv2d, convolutional_layers
from ganlib.steps import discriminator_step_apart

CONVOLUTIONAL = [name for name in MODELS if "dcgan" in name]
KERNELS = nn.Linear, nn.Conv2d, nn.ConvTranspose2d
every_model = pytest.mark.parametrize("model", CONVOLUTIONAL)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# --- The generator -------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("img_size", [8, 28, 32, 33])
def test_images_have_the_shape_and_range_of_real_ones(model, training, img_size):
    generator, _ = networks_of(model, img_size=img_size)
    labels = torch.arange(12) % 10
    images = generator.train(training)(20 * noise(12, 100), labels)
    assert images.shape == (12, 1, img_size, img_size)
    assert images.min() >= -1 and images.max() <= 1 and images.std() > 0


@pytest.mark.parametrize("img_size, sizes", [(32, [4, 8, 16, 32]), (28, [4, 7, 14, 28])])
def test_maps_grow_twice_as_fine_and_thinner_to_the_image(img_size, sizes):
    seen = []
    layers = convolutional_layers(110, img_size, 1, (128, 64, 32), 1e-5)
    for layer in of_kind(layers, nn.Unflatten, nn.Conv2d):
        layer.register_forward_hook(lambda module, args, output: seen.append(output.shape[1:]))
    layers(noise(2, 110))
    assert seen == [(width, size, size) for width, size in zip((128, 64, 32, 1), sizes)]


@torch.no_grad()
@pytest.mark.parametrize("sides, size", [((4, 4), 8), ((5, 5), 10), ((4, 4), 7)])
def test_upconv_gives_the_sums_of_upsample_and_convolution(sides, size):
    layer, x = UpConv2d(3, 5, size), noise(2, 3, *sides)
    repeated = nn.Upsample(scale_factor=2)(x)
    expected = F.conv2d(repeated, layer.weight, layer.bias, padding=1)[:, :, :size, :size]
    torch.testing.assert_close(layer(x), expected)


def test_upconv_has_the_gradients_of_upsample_and_convolution():
    layer, x = UpConv2d(3, 5, 8).double(), noise(2, 3, 4, 4).double().requires_grad_()
    repeated = F.conv2d(nn.Upsample(8)(x), layer.weight, layer.bias, padding=1)
    inputs, weight = (x, layer.weight, layer.bias), noise(2, 5, 8, 8).double()
    mine, theirs = (torch.autograd.grad(y, inputs, weight) for y in (layer(x), repeated))
    torch.testing.assert_close(mine, theirs)


@torch.no_grad()
def test_every_image_pixel_depends_on_equally_many_values_of_the_last_maps():
    """What a transposed convolution of 3 x 3 fails at: that is what prints checkerboards."""
    ones = torch.ones(1, 1, 8, 8)
    *_, up, _ = convolutional_layers(4, 16, 1, (1,), 1e-5)
    transposed = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)
    for layer in (up, transposed):
        layer.weight.fill_(1), layer.bias.zero_()
    even, uneven = up(ones), transposed(ones)
    inside = (..., slice(1, -1), slice(1, -1))
    assert even.shape == uneven.shape
    assert even[inside].unique().tolist() == [9]
    assert uneven[inside].unique().tolist() == [1, 2, 4]


def test_the_label_is_joined_to_the_noise():
    (generator, _), inputs = networks_of("c-dcgan"), []
    generator.layers[0].register_forward_hook(lambda module, args, out: inputs.append(args[0]))
    z, labels = noise(3, 100), torch.tensor([0, 9, 4])
    generator(z, labels)
    assert torch.equal(inputs[0], torch.cat([z, generator.embedding.weight[labels]], dim=1))


# --- The discriminator ---------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("img_size", [8, 28, 32])
@pytest.mark.parametrize("projection", [True, False])
def test_scores_are_raw_one_an_image_and_hear_of_the_label(img_size, projection):
    network = ConvolutionalDiscriminator(img_size, projection=projection).eval()
    for parameter in network.parameters():  # as after some training: no score near zero
        parameter.mul_(5)
    images = noise(1, 1, img_size, img_size).expand(10, -1, -1, -1)
    scores = []
    for bias in (100, -100):
        network.score.bias.fill_(bias)
        scores.append(network(images, torch.arange(10)))
    high, low = scores
    assert high.shape == low.shape == (10, 1) and high.min() > 1 and low.max() < 0
    torch.testing.assert_close(high - low, torch.full((10, 1), 200.0))
    assert len(low.unique()) == 10


@torch.no_grad()
def test_projection_is_a_linear_score_of_each_class():
    """The same features, scored with the shared weights plus the class's own."""
    network = ConvolutionalDiscriminator(projection=True).eval()
    images, labels = noise(10, 1, 32, 32), torch.arange(10)
    features = network.layers(images)
    weights = network.score.weight + network.embedding.weight
    expected = torch.stack([f @ w for f, w in zip(features, weights)]) + network.score.bias
    torch.testing.assert_close(network(images, labels), expected.unsqueeze(1))


@torch.no_grad()
def test_spectral_norm_holds_every_layers_largest_singular_value_at_one():
    """Also after the weights have moved: every pass in training brings the estimate closer."""
    network = ConvolutionalDiscriminator(projection=True, spectral=True)
    for parameter in network.parameters():
        parameter.mul_(3).add_(noise(*parameter.shape), alpha=0.01)
    for _ in range(200):
        network(noise(2, 1, 32, 32), torch.tensor([3, 7]))
    layers = of_kind(network.eval(), nn.Conv2d, nn.Linear, nn.Embedding)
    largest = [float(torch.linalg.matrix_norm(each.weight.flatten(1), 2)) for each in layers]
    assert len(largest) == 5 and largest == pytest.approx([1] * 5, rel=0.01)


def test_no_dropout_where_none_is_asked_for():
    assert not of_kind(ConvolutionalDiscriminator(dropout=0.0), nn.Dropout2d)
    assert len(of_kind(ConvolutionalDiscriminator(), nn.Dropout2d)) == 3


@torch.no_grad()
def test_the_label_is_one_more_channel():
    network, inputs = ConvolutionalDiscriminator().eval(), []
    network.layers[0].register_forward_hook(lambda module, args, out: inputs.append(args[0]))
    images, labels = noise(2, 1, 32, 32), torch.tensor([3, 7])
    network(images, labels)
    assert torch.equal(inputs[0][:, :1], images)
    assert torch.equal(inputs[0][:, 1].flatten(1), network.embedding.weight[labels])


@torch.no_grad()
def test_images_of_a_batch_do_not_mix():
    """D takes real and fake images in one pass: no image's score may hang on another's."""
    network = ConvolutionalDiscriminator().eval()
    images, labels = noise(6, 1, 32, 32), torch.arange(6)
    alone = torch.cat([network(images[i : i + 1], labels[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(network(images, labels), alone)


@every_model
def test_an_image_too_small_to_halve_is_refused_in_one_line(model):
    with pytest.raises(ValueError, match="img_size must be at least 8 .*, not 7") as caught:
        networks_of(model, img_size=7)
    assert "\n" not in str(caught.value)


# --- Both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [name for name in CONVOLUTIONAL if "larger" not in name])
def test_dcgans_start(model):
    """Weights of every layer from N(0, 0.02): within five standard errors of both. Biases 0."""
    for network in networks_of(model):
        for layer in of_kind(network, *KERNELS):
            if is_parametrized(layer):  # spectral normalisation: as it was before
                remove_parametrizations(layer, "weight", leave_parametrized=False)
            n, weight = layer.weight.numel(), layer.weight.detach()
            assert abs(float(weight.mean())) < 5 * 0.02 / n**0.5
            assert abs(float(weight.std()) / 0.02 - 1) < 5 / (2 * n) ** 0.5
            assert layer.bias is None or not layer.bias.any()


def test_a_larger_start_is_pytorchs_own_in_all_but_the_labels_picture():
    generator, discriminator = networks_of("c-dcgan-larger-start")
    first = generator.layers[
        0
    ].weight.detach()  # PyTorch: even between -1 and 1 over the root of the inputs
    assert abs(float(first.abs().max()) * 110**0.5 - 1) < 0.01
    assert abs(float(discriminator.embedding.weight.detach().std()) / 0.02 - 1) < 0.05


@every_model
def test_a_bias_only_where_no_normalisation_follows(model):
    generator, discriminator = networks_of(model)
    with_bias = [layer.bias is not None for layer in of_kind(generator, *KERNELS)]
    assert with_bias == [False, False, False, True]
    with_bias = [layer.bias is not None for layer in of_kind(discriminator, nn.Conv2d)]
    assert with_bias == [True, *[not of_kind(discriminator, nn.BatchNorm2d)] * 2]


def test_both_reins_one_or_none():
    """Of four models alike in all else, D has dropout, spectral normalisation, both or neither."""
    reins = {
        "projection": (3, 0),
        "spectral": (0, 3),
        "spectral-dropout": (3, 3),
        "plain-d": (0, 0),
    }
    for name, expected in reins.items():
        generator, discriminator = networks_of(f"cbn-dcgan-{name}")
        normalised = [is_parametrized(layer) for layer in of_kind(discriminator, nn.Conv2d)]
        assert (len(of_kind(discriminator, nn.Dropout2d)), sum(normalised)) == expected
        assert discriminator.projection
        assert n_parameters(generator) == n_parameters(networks_of("cbn-dcgan")[0])


def test_the_standard_recipe():
    """DCGAN's table: transposed convolutions and ReLU in G, batch norm but for the ends in D."""
    generator, discriminator = networks_of("c-dcgan-standard")
    block = [nn.BatchNorm2d, nn.ReLU, nn.ConvTranspose2d]
    kinds = [type(layer) for layer in generator.layers]
    assert kinds == [nn.Linear, nn.Unflatten, *block * 3, nn.Tanh]
    assert [u.out_channels for u in of_kind(generator, nn.ConvTranspose2d)] == [128, 64, 1]
    kinds = [type(layer) for layer in discriminator.layers]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *block * 2, nn.Flatten]
    assert [c.out_channels for c in of_kind(discriminator, nn.Conv2d)] == [64, 128, 256]


def test_a_d_with_batch_norm_is_shown_real_and_fake_images_apart():
    """Its statistics are of one kind each, so another batch of fakes changes no real loss."""
    losses = []
    for fake in (noise(6, 1, 32, 32), torch.zeros(6, 1, 32, 32)):
        _, network = networks_of("c-dcgan-standard")
        adam, real = torch.optim.Adam(network.parameters()), noise(6, 1, 32, 32).tanh()
        labels = (torch.arange(6),)
        alone = BCE.real(network(real, *labels)).detach()
        step = discriminator_step_apart(network, adam, BCE, real, fake, labels, labels)
        assert torch.equal(step[0], alone) and step[2].shape == (12, 1)
        losses.append(step)
    assert torch.equal(losses[0][0], losses[1][0]) and losses[0][1] != losses[1][1]


def test_parameter_counts():
    """3 x 3 up and 4 x 4 down; the counts in closed form."""
    up, down = (128, 64, 32, 1), (2, 24, 48, 96)  # an image and a picture of the label
    kernels = sum(9 * a * b for a, b in itertools.pairwise(up))
    joined = 10 * 10 + 110 * 2048 + kernels + 1 + 2 * (128 + 64 + 32)
    assert n_parameters(networks_of("c-dcgan")[0]) == joined
    generator, discriminator = networks_of("cbn-dcgan")
    assert n_parameters(generator) == 100 * 2048 + kernels + 1 + 10 * 2 * (128 + 64 + 32)
    kernels = sum(16 * a * b + b for a, b in itertools.pairwise(down))
    assert n_parameters(discriminator) == kernels + 1536 + 1 + 10 * 1024
    _, projecting = networks_of("cbn-dcgan-projection")
    assert n_parameters(projecting) == kernels - 16 * 24 + 1536 + 1 + 10 * 1536
