"""Several seeds of one configuration trained as one, for a GPU that one alone leaves waiting.

So small a network keeps a GPU busy for less time than it takes to call its kernels. Here equal
networks are stacked, and one call does for all of them what it did for one.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.parametrize import is_parametrized

from ganlib import Refused
from ganlib.configuration import TrainingConfig
from ganlib.families import build, family
from ganlib.losses import LOSSES, Loss
from ganlib.steps import Batch, adversarial
from ganlib.training import Players, epoch_seed, start


class Many(nn.Module):
    """S equal networks with weights of their own, called as one: a batch for each, all at once.

    What each would take, (N, ...), comes with a second dimension for the network, (N, S, ...), and
    so does what it gives. So the steps of :mod:`ganlib.steps` train all S at the cost of few
    calls. Weights of different networks never meet: each is trained as it would be alone, if the
    losses are those `of_each`.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        super().__init__()
        self._one = [networks[0]]  # in a list, so that its weights are not counted as ours
        weights, statistics = stack_module_state(list(networks))
        self._weights = {name: name.replace(".", "/") for name in weights}
        self._statistics = {name: name.replace(".", "/") for name in statistics}
        for name, stacked in weights.items():
            self.register_parameter(self._weights[name], nn.Parameter(stacked.detach()))
        for name, stacked in statistics.items():
            self.register_buffer(self._statistics[name], stacked)

    def forward(self, *inputs: Tensor) -> Tensor:
        one = self._one[0].train(self.training)
        own = {name: getattr(self, kept) for name, kept in self._weights.items()}
        own |= {name: getattr(self, kept) for name, kept in self._statistics.items()}

        def call(own: dict[str, Tensor], *inputs: Tensor) -> Tensor:
            return functional_call(one, own, inputs)

        places = 0, *[1] * len(inputs)
        each = vmap(call, places, out_dims=1, randomness="different")  # dropout's
        return each(own, *inputs).contiguous()

    def one(self, index: int) -> nn.Module:
        """One of the networks by itself, as it is now: a copy."""
        network = copy.deepcopy(self._one[0])
        own = self._weights | self._statistics
        network.load_state_dict({name: getattr(self, kept)[index] for name, kept in own.items()})
        return network


def of_each(loss: Loss) -> Loss:
    """The same of each of S networks: scores (N, S, 1) to losses (S,), whose sum trains all S."""
    return Loss(*(vmap(part, 1) for part in loss))


def start_together(config: TrainingConfig, seeds: Sequence[int]) -> Players:
    """One model for each seed, all as one, to be trained by `ganlib.training.train`.

    Each starts as it would alone, and meets the same images and the same noise in the same order;
    ``config.seed`` decides dropout alone, which is another for each. The log of an epoch has a
    number for each seed, (iterations, columns, S), and ``Many.one`` gives a seed's network.

    Raises Refused if there is no seed, if the model's step is not that of the paper's two, or if a
    network has spectral normalisation, which PyTorch cannot stack.
    """
    if not seeds:
        raise Refused("there are no seeds: give at least one")
    kind = family(config.model)
    if kind.step is not adversarial:
        raise Refused(f"{config.model} has a step of its own: train its seeds one by one")
    alone = [build(replace(config, seed=seed)) for seed in seeds]
    if any(map(is_parametrized, (layer for own in alone[0].values() for layer in own.modules()))):
        raise Refused(f"{config.model} has spectral normalisation: train its seeds one by one")
    players = start(config, {name: Many([own[name] for own in alone]) for name in alone[0]})
    players.rngs = [torch.Generator(next(players.generator.parameters()).device) for _ in seeds]

    def side_by_side(each: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        return [torch.stack(parts, dim=1) for parts in zip(*each)]

    def batches(data: Batch, config: TrainingConfig, _rng: torch.Generator):
        for seed, rng in zip(seeds, players.rngs):
            rng.manual_seed(epoch_seed(seed, players.epoch + 1))
        for shown in zip(*(kind.batches(data, config, rng) for rng in players.rngs)):
            yield [Batch(*side_by_side(same)) for same in zip(*shown)]

    def inputs(config: TrainingConfig, n: int, rng: torch.Generator, data: Batch | None = None):
        return side_by_side([kind.inputs(config, n, one, data) for one in players.rngs])

    step = partial(adversarial, loss=of_each(LOSSES[config.loss]))
    players.family = kind._replace(step=step, batches=batches, inputs=inputs)
    return players
