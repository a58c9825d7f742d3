"""Conditional batch normalisation (section 4.2): the label enters G in its normalisations."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.models.mlp import generator_layers


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are looked up by class (de Vries et al. 2017).

    The whole batch shares its mean and variance, as in ``nn.BatchNorm1d`` and ``nn.BatchNorm2d``;
    what follows them is the class's own. (Section 4.2 speaks of mean and variance by label.) All
    classes start with scale 1 and shift 0, so that the layer starts as plain batch normalisation.
    """

    def __init__(
        self, n_features: int, n_classes: int = 10, eps: float = 1e-5, momentum: float = 0.1
    ):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(n_classes, n_features))
        self.bias = nn.Parameter(torch.zeros(n_classes, n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """``x`` (N, n_features) or (N, n_features, H, W) and ``labels`` (N,) int64; x's shape."""
        running = self.running_mean, self.running_var
        normal = F.batch_norm(
            x, *running, training=self.training, momentum=self.momentum, eps=self.eps
        )
        for_all_pixels = (len(x), -1, *[1] * (x.ndim - 2))
        scale = F.embedding(labels, self.weight).view(for_all_pixels)
        shift = F.embedding(labels, self.bias).view(for_all_pixels)
        return scale * normal + shift


def conditional(layer: nn.Module, n_classes: int) -> nn.Module:
    """A batch normalisation's conditional twin; any other layer as it is."""
    if not isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return layer
    return ConditionalBatchNorm(layer.num_features, n_classes, layer.eps, layer.momentum)


class CBNGenerator(nn.Module):
    """G(z, y) with conditional batch normalisation: the label enters there and nowhere else.

    The batch normalisations among the layers that ``make_layers`` gives are made conditional.
    """

    def __init__(
        self,
        latent_dim: int = 100,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        widths: tuple[int, ...] = (128, 256, 512, 1024),
        bn_eps: float = 1e-5,
        make_layers: Callable[..., nn.Sequential] = generator_layers,
    ):
        super().__init__()
        self.image_shape = (channels, img_size, img_size)
        layers = make_layers(latent_dim, img_size, channels, widths, bn_eps)
        self.layers = nn.ModuleList(conditional(layer, n_classes) for layer in layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """``z`` (N, latent_dim) and ``labels`` (N,) int64 to images (N, channels, H, W)."""
        x = z
        for layer in self.layers:
            x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm) else layer(x)
        return x.view(-1, *self.image_shape)
