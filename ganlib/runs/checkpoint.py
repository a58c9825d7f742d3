"""Weights from a file into networks, and all that the next epoch depends on as one file's tensors.

Random states are not among it: they start afresh each epoch from (seed, epoch), see
training.epoch_seed, and both are here.
"""

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ganlib import RunError
from ganlib.configuration import TrainingConfig
from ganlib.families import family
from ganlib.sampling import SHEET, sheet_inputs
from ganlib.steps import Batch, adversarial, adversarial_apart
from ganlib.training import Players

SLOTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam keeps of a parameter


def load_weights(network: nn.Module, weights: dict[str, Tensor], where: object) -> None:
    """Copy ``weights`` into the network, in its own precision; RunError if they are of another."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"the weights in {where} are of another model than its config") from error


@torch.no_grad()
def check_numbers(config: TrainingConfig, where: object, generator: nn.Module, *others) -> None:
    """Raises RunError if a weight, or what a layer makes of ten fixed z, is no finite number.

    ``others`` look at the generator's images. All are left in evaluation mode. A generator that is
    given an image is given a black one.
    """
    made = [value for network in (generator, *others) for value in network.state_dict().values()]
    hooks = [
        part.register_forward_hook(lambda part, taken, given: made.append(given))
        for network in (generator, *others)
        for part in network.eval().modules()
    ]
    device = next(generator.parameters()).device
    shape = config.channels, config.img_size, config.img_size
    black = Batch(torch.full((1, *shape), -1.0), torch.tensor([-1]))
    z, *labels = (part[:SHEET].to(device) for part in sheet_inputs(config, black))
    images = generator(z, *labels)
    for network in others:
        network(images, *labels)
    for hook in hooks:
        hook.remove()
    if not all(tensor.isfinite().all() for tensor in made):
        raise RunError(
            f"the weights in {where} are no numbers, or too large to calculate with: "
            "train the run again"
        )


# --- The checkpoint ------------------------------------------------------------------------------


def on_cpu(tensors: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """``tensors`` as a file takes them, their names behind ``prefix``."""
    return {prefix + key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def pack_players(players: Players) -> bytes:
    """The checkpoint: all networks and optimisers, and how far they have come."""
    tensors: dict[str, Tensor] = {}
    for name, part in players.parts().items():
        if isinstance(part, nn.Module):
            tensors |= on_cpu(part.state_dict(), f"{name}.")
            continue
        states = part.state_dict()["state"]
        # A parameter that got no gradient yet has no state; these have.
        tensors[f"{name}.moved"] = torch.tensor(sorted(states), dtype=torch.int64)
        for index, state in states.items():
            tensors |= on_cpu(state, f"{name}.{index}.")
    counters = {"epoch": players.epoch, "iteration": players.iteration}
    return to_bytes(tensors | {name: torch.tensor(value) for name, value in counters.items()})


def named(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, under their own names."""
    start = f"{part}."
    return {key.removeprefix(start): v for key, v in tensors.items() if key.startswith(start)}


def unpack_players(
    tensors: dict[str, Tensor], players: Players, config: TrainingConfig, where: object
) -> None:
    """Put the players where the checkpoint left them.

    Raises RunError if a part is missing, does not fit, or is no number.
    """
    try:
        for name, part in players.parts().items():
            mine = named(tensors, name)
            if isinstance(part, nn.Module):
                load_weights(part, mine, where)
                continue
            parameters = part.param_groups[0]["params"]
            moved = mine.get("moved", torch.arange(len(parameters))).tolist()  # once, all had to
            state = {i: {slot: mine[f"{i}.{slot}"] for slot in SLOTS} for i in moved}
            for i, slots in state.items():
                if any(slots[slot].shape != parameters[i].shape for slot in SLOTS[1:]):
                    raise ValueError(f"{name} is of another network")
            part.load_state_dict(part.state_dict() | {"state": state})
        players.epoch, players.iteration = int(tensors["epoch"]), int(tensors["iteration"])
    except RunError:
        raise
    except KeyError as error:
        raise RunError(f"the checkpoint in {where} is damaged: it has no {error}") from error
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise RunError(f"the checkpoint in {where} is damaged: {error}") from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise RunError(f"the checkpoint in {where} holds what is no number: train the run again")
    for generator in {players.generator, players.artist}:
        # Other steps call their networks in ways of their own; a loss will say what is wrong there.
        known = family(config.model).step in (adversarial, adversarial_apart)
        others = [players.discriminator] if known else []
        check_numbers(config, where, generator, *others)
