"""The networks have the layers that the book says, and answer in the promised ranges."""

import itertools

import pytest
import torch
from conftest import PAIRS, copies, networks_of, of_kind, same_tensors
from torch import nn

from ganlib import steps
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, build, family, n_parameters
from ganlib.models.mlp import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    Discriminator,
    Dropout,
    Generator,
)
from ganlib.models.normalisation import ConditionalBatchNorm

LATENT, PIXELS, EMBEDDING = 100, 32 * 32, 10  # Table 1, and the width of a label's embedding
# From input to output; the hidden widths are those of the public scripts.
GENERATOR = (LATENT, 128, 256, 512, 1024, PIXELS)
CONDITIONAL_GENERATOR = (LATENT + EMBEDDING, 128, 256, 512, 1024, PIXELS)
DISCRIMINATOR = (PIXELS, 512, 256, 1)
CONDITIONAL_DISCRIMINATOR = (PIXELS + EMBEDDING, 512, 512, 512, 1)
STACKS = [
    (Generator, GENERATOR),
    (Discriminator, DISCRIMINATOR),
    (ConditionalGenerator, CONDITIONAL_GENERATOR),
    (ConditionalDiscriminator, CONDITIONAL_DISCRIMINATOR),
]
every_network = pytest.mark.parametrize(
    "make, widths", STACKS, ids=[make.__name__ for make, _ in STACKS]
)
GENERATORS, DISCRIMINATORS = (Generator, ConditionalGenerator), STACKS[1::2]


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, ConditionalBatchNorm)
CBN_MODELS = [name for name in MODELS if name.startswith("cbn-")]


def answer(network: nn.Module, first: torch.Tensor) -> torch.Tensor:
    """The network's output; conditional ones are asked for the labels 0, 1, ..., 9, 0, ..."""
    labels = torch.arange(len(first)) % 10
    told = of_kind(network, nn.Embedding, ConditionalBatchNorm)
    return network(first, labels) if told else network(first)


@every_network
def test_weight_shapes(make, widths):
    shapes = [tuple(layer.weight.shape) for layer in of_kind(make(), nn.Linear)]
    assert shapes == [(n_out, n_in) for n_in, n_out in itertools.pairwise(widths)]


@every_network
def test_parameter_count(make, widths):
    linear = sum(n_in * n_out + n_out for n_in, n_out in itertools.pairwise(widths))
    normalised = sum(2 * width for width in widths[2:-1]) if make in GENERATORS else 0
    embedding = 10 * EMBEDDING if "Conditional" in make.__name__ else 0
    assert n_parameters(make()) == linear + normalised + embedding


@every_network
def test_labels_are_embedded_in_conditional_networks_only(make, widths):
    shapes = [tuple(layer.weight.shape) for layer in of_kind(make(), nn.Embedding)]
    assert shapes == ([(10, 10)] if "Conditional" in make.__name__ else [])


@every_network
def test_leaky_relu_between_all_linear_layers(make, widths):
    slopes = [layer.negative_slope for layer in of_kind(make(), nn.LeakyReLU)]
    assert slopes == [0.2] * (len(widths) - 2)


@pytest.mark.parametrize("make", GENERATORS)
def test_first_generator_block_has_no_batch_norm(make):
    kinds = [type(layer) for layer in make().layers]
    block = [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU]
    assert kinds == [nn.Linear, nn.LeakyReLU, *block * 3, nn.Linear, nn.Tanh]


@pytest.mark.parametrize("model", PAIRS)
@pytest.mark.parametrize("bn_eps", [1e-5, 0.8])
def test_bn_eps_reaches_every_batch_norm_and_momentum_stays_the_default(model, bn_eps):
    generator, discriminator = networks_of(model, bn_eps=bn_eps)
    norms = of_kind(generator, *BATCH_NORMS)
    assert [norm.eps for norm in norms] == [bn_eps] * 3
    assert {norm.momentum for norm in norms} == {0.1}
    # Where D takes real and fake images in one pass, batch normalisation would mix them.
    apart = family(model).step is steps.adversarial_apart
    assert len(of_kind(discriminator, *BATCH_NORMS)) == (2 if apart else 0)


def test_dropout_on_the_two_middle_layers_of_the_conditional_discriminator_only():
    kinds = [type(layer) for layer in ConditionalDiscriminator().layers]
    middle = [nn.Linear, Dropout, nn.LeakyReLU]
    assert kinds == [nn.Linear, nn.LeakyReLU, *middle * 2, nn.Linear]
    assert [layer.p for layer in of_kind(ConditionalDiscriminator(), nn.Dropout)] == [0.4, 0.4]
    for make in (Generator, Discriminator, ConditionalGenerator):
        assert not of_kind(make(), nn.Dropout)


def test_dropout_zeroes_its_share_and_scales_the_rest_with_gradients_to_match():
    torch.manual_seed(0)
    layer, x = Dropout(0.4), torch.full((200, 500), 3.0, requires_grad=True)
    out = layer(x)
    assert ((out == 0) | torch.isclose(out, torch.tensor(5.0))).all()  # 3 / (1 - 0.4)
    # A share of 100,000 coin tosses: five standard deviations are 0.008.
    assert abs(float((out == 0).float().mean()) - 0.4) < 0.008
    out.sum().backward()
    torch.testing.assert_close(x.grad * 3, out)
    assert not torch.equal(layer(x) == 0, out == 0)
    assert torch.equal(layer.eval()(x), x)


def test_the_swapped_families_differ_from_the_papers_in_the_discriminator_only():
    def shapes(network):
        return [tuple(p.shape) for p in network.parameters()]

    for swapped, own, other in (("gan-large-d", "gan", "cgan"), ("cgan-small-d", "cgan", "gan")):
        (g, d), (own_g, own_d), (_, other_d) = (
            networks_of(swapped),
            networks_of(own),
            networks_of(other),
        )
        assert shapes(g) == shapes(own_g)
        hidden = [len(layer.weight) for layer in of_kind(d, nn.Linear)]
        assert hidden == [len(layer.weight) for layer in of_kind(other_d, nn.Linear)]
        assert hidden != [len(layer.weight) for layer in of_kind(own_d, nn.Linear)]
        assert len(of_kind(d, nn.Dropout)) == len(of_kind(other_d, nn.Dropout))
        assert len(of_kind(d, nn.Embedding)) == len(of_kind(own_d, nn.Embedding))


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("img_size", [28, 32])
def test_images_have_the_shape_and_range_of_real_ones(make, training, img_size):
    z = 20 * torch.randn(12, LATENT, generator=torch.Generator().manual_seed(0))
    images = answer(make(img_size=img_size).train(training), z)
    assert images.shape == (12, 1, img_size, img_size)
    assert images.min() >= -1 and images.max() <= 1


@torch.no_grad()
@pytest.mark.parametrize("make, widths", DISCRIMINATORS)
def test_scores_are_raw(make, widths):
    """No Sigmoid inside: scores leave (0, 1) on both sides, one for each image."""
    network = make().eval()
    assert not of_kind(network, nn.Sigmoid)
    images = torch.rand(12, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network.layers[-1].bias.fill_(100)
    high = answer(network, images)
    network.layers[-1].bias.fill_(-100)
    low = answer(network, images)
    assert high.shape == low.shape == (12, 1)
    assert high.min() > 1 and low.max() < 0
    torch.testing.assert_close(high - low, torch.full((12, 1), 200.0))


@torch.no_grad()
def test_labels_change_what_conditional_networks_answer():
    generator, discriminator = (network.eval() for network in networks_of("cgan"))
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(10)
    images = generator(torch.randn(1, LATENT, generator=rng).expand(10, -1), labels)
    scores = discriminator(torch.randn(1, 1, 32, 32, generator=rng).expand(10, -1, -1, -1), labels)
    for row, other in itertools.combinations(range(10), 2):
        assert not torch.equal(images[row], images[other])
        assert not torch.equal(scores[row], scores[other])


@torch.no_grad()
def test_conditional_networks_join_the_embedding_behind_their_input():
    """Zeroing an embedding leaves what the first layer makes of the noise or the pixels alone."""
    for network, first in zip(
        networks_of("cgan"), (torch.ones(2, LATENT), torch.ones(2, 1, 32, 32))
    ):
        network.eval()
        network.embedding.weight.zero_()
        layer = network.layers[0]
        inputs = []
        layer.register_forward_hook(lambda module, args, output, seen=inputs: seen.append(args[0]))
        answer(network, first)
        assert torch.equal(inputs[0][:, :-EMBEDDING], first.flatten(1))
        assert torch.equal(inputs[0][:, -EMBEDDING:], torch.zeros(2, EMBEDDING))


def test_a_label_outside_the_classes_is_an_error():
    with pytest.raises(IndexError):
        ConditionalGenerator()(torch.zeros(2, LATENT), torch.tensor([0, 10]))


def test_widths_are_named_parameters():
    generator = Generator(latent_dim=3, img_size=4, widths=(5, 6))
    assert [tuple(p.weight.shape) for p in of_kind(generator, nn.Linear)] == [
        (5, 3),
        (6, 5),
        (16, 6),
    ]
    discriminator = Discriminator(img_size=4, widths=(7,))
    assert [tuple(p.weight.shape) for p in of_kind(discriminator, nn.Linear)] == [(7, 16), (1, 7)]


@pytest.mark.parametrize("model", ["cgan", "cbn-cgan", "c-dcgan", "cbn-dcgan"])
def test_build_passes_every_size_on(model):
    generator, discriminator = networks_of(model, latent_dim=7, img_size=8, n_classes=3)
    assert generator(torch.zeros(2, 7), torch.tensor([0, 2])).shape == (2, 1, 8, 8)
    assert discriminator(torch.zeros(2, 1, 8, 8), torch.tensor([0, 2])).shape == (2, 1)
    for network in (generator, discriminator):
        with pytest.raises(IndexError):
            answer(network, torch.zeros((11, 7) if network is generator else (11, 1, 8, 8)))


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_builds_the_same_networks(model):
    def weights(seed: int) -> list[torch.Tensor]:
        return [p for network in networks_of(model, seed=seed) for p in network.parameters()]

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not all(map(torch.equal, weights(1), weights(2)))


@pytest.mark.parametrize("model", PAIRS)
def test_a_family_is_told_the_label_as_its_networks_are(model):
    for network in networks_of(model):
        told = of_kind(network, nn.Embedding, ConditionalBatchNorm)
        assert bool(told) == family(model).conditional == ("gan" != model.removesuffix("-large-d"))


def test_an_unknown_model_is_refused_with_the_known_ones():
    for call in (family, lambda model: build(TrainingConfig(model=model))):
        with pytest.raises(ValueError, match="model must be one of gan, cgan, .*, not 'dcgan'"):
            call("dcgan")
        for other in ("", None, ["gan"]):
            with pytest.raises(ValueError, match="model must be one of"):
                call(other)


# --- Conditional batch normalisation -------------------------------------------------------------

SHAPES = {nn.BatchNorm1d: (12, 5), nn.BatchNorm2d: (12, 5, 3, 4)}
both_shapes = pytest.mark.parametrize("plain", SHAPES, ids=["1d", "2d"])


def batch(plain: type, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch far from mean 0 and variance 1, with labels of the classes 0, 1 and 2 of 4."""
    rng = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(SHAPES[plain], generator=rng) + 2
    return x.requires_grad_(), torch.arange(12) % 3


@both_shapes
@pytest.mark.parametrize("eps", [1e-5, 0.8])
def test_cbn_with_equal_classes_is_batch_norm(plain, eps):
    """In training and evaluation: the output, every gradient, and the running statistics."""
    one, other = plain(5, eps=eps), ConditionalBatchNorm(5, n_classes=4, eps=eps)
    (x, labels), (same, _) = batch(plain), batch(plain)
    torch.testing.assert_close(other(same, labels), one(x))  # as initialised
    with torch.no_grad():
        for mine, theirs in ((one.weight, other.weight), (one.bias, other.bias)):
            mine.copy_(torch.randn(5))
            theirs.copy_(mine.expand(4, 5))
    for training in (True, True, False):
        (x, labels), (same, _) = batch(plain, seed=1), batch(plain, seed=1)
        left, right = one.train(training)(x), other.train(training)(same, labels)
        torch.testing.assert_close(right, left)
        torch.testing.assert_close(other.running_mean, one.running_mean)
        torch.testing.assert_close(other.running_var, one.running_var)
        one.zero_grad(), other.zero_grad()
        left.square().sum().backward(), right.square().sum().backward()
        torch.testing.assert_close(same.grad, x.grad)
        torch.testing.assert_close(other.weight.grad.sum(dim=0), one.weight.grad)
        torch.testing.assert_close(other.bias.grad.sum(dim=0), one.bias.grad)


@both_shapes
def test_cbn_stretches_each_image_by_its_own_class(plain):
    layer, (x, labels) = ConditionalBatchNorm(5, n_classes=4), batch(plain)
    normal = plain(5, affine=False)(x)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(4, 5))
        layer.bias.copy_(torch.randn(4, 5))
    for image, before, label in zip(layer(x, labels), normal, labels):
        per_pixel = (-1, *[1] * (before.ndim - 1))
        scale, shift = (table[label].view(per_pixel) for table in (layer.weight, layer.bias))
        torch.testing.assert_close(image, scale * before + shift)


@both_shapes
def test_gradients_reach_only_the_classes_in_the_batch(plain):
    layer, (x, labels) = ConditionalBatchNorm(5, n_classes=4), batch(plain)
    layer(x, labels).square().sum().backward()
    for table in (layer.weight, layer.bias):
        assert table.grad[:3].abs().min() > 0 and torch.equal(table.grad[3], torch.zeros(5))


@both_shapes
def test_cbn_in_evaluation_uses_and_keeps_the_running_statistics(plain):
    layer, (x, labels) = ConditionalBatchNorm(5, n_classes=4), batch(plain)
    layer(x, labels)
    kept = copies(layer.eval())
    whole, alone = layer(x, labels), layer(x[:1], labels[:1])
    torch.testing.assert_close(whole[:1], alone)  # the rest of the batch does not matter
    assert same_tensors(layer.state_dict(), kept)
    per_pixel = (1, -1, *[1] * (x.ndim - 2))
    mean, var = layer.running_mean.view(per_pixel), layer.running_var.view(per_pixel)
    torch.testing.assert_close(whole, (x - mean) / (var + 1e-5).sqrt())


def test_cbn_refuses_a_batch_of_one_in_training():
    with pytest.raises(ValueError, match="more than 1 value"):
        ConditionalBatchNorm(5)(torch.zeros(1, 5), torch.zeros(1, dtype=torch.int64))


# --- The label in the normalisation --------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("model", CBN_MODELS)
def test_a_cbn_generator_starts_blind_to_the_label_and_learns_it_in_the_normalisation(model):
    generator, _ = networks_of(model)
    generator.eval()
    z, labels = torch.randn(1, LATENT).expand(10, -1), torch.arange(10)
    images = generator(z, labels)
    torch.testing.assert_close(images, images[:1].expand_as(images))
    norms = of_kind(generator, ConditionalBatchNorm)
    for table in (norms[0].weight, norms[-1].bias):
        table[4] += 1
        images = generator(z, labels)
        others = [row for row in range(10) if row != 4]
        torch.testing.assert_close(images[others], images[:1].expand(9, -1, -1, -1))
        assert not torch.allclose(images[4], images[0])
        table[4] -= 1


@pytest.mark.parametrize("model", CBN_MODELS)
def test_every_normalisation_of_a_cbn_generator_is_conditional(model):
    generator, _ = networks_of(model, bn_eps=0.5, n_classes=3)
    norms = of_kind(generator, *BATCH_NORMS)
    assert {type(norm) for norm in norms} == {ConditionalBatchNorm}
    assert {len(norm.weight) for norm in norms} == {3}


def test_the_four_cells_differ_where_they_say():
    """Columns share their discriminator; a CBN generator has its neighbour's layers otherwise."""

    def kernels(network):
        return [tuple(layer.weight.shape) for layer in of_kind(network, nn.Linear, nn.Conv2d)]

    for joined, normalised in (("cgan", "cbn-cgan"), ("c-dcgan", "cbn-dcgan")):
        (g, d), (cbn_g, cbn_d) = networks_of(joined), networks_of(normalised)
        assert [p.shape for p in d.parameters()] == [p.shape for p in cbn_d.parameters()]
        assert kernels(g)[1:] == kernels(cbn_g)[1:]
        (n_out, n_in), (cbn_out, cbn_in) = kernels(g)[0], kernels(cbn_g)[0]
        assert n_out == cbn_out and n_in == cbn_in + EMBEDDING
        sizes = [norm.num_features for norm in of_kind(g, nn.BatchNorm1d, nn.BatchNorm2d)]
        assert sizes == [norm.weight.shape[1] for norm in of_kind(cbn_g, ConditionalBatchNorm)]


def test_convolution_needs_fewer_parameters_as_the_paper_predicts():
    pairs = {name: [n_parameters(network) for network in networks_of(name)] for name in PAIRS}
    for name in ("c-dcgan", "cbn-dcgan"):
        assert all(few < many / 5 for few, many in zip(pairs[name], pairs["cgan"]))
