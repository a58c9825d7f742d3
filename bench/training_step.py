"""How fast is a training step? Three comparisons, printed as ratios and never asserted.

    python bench/training_step.py          (or: make bench)

1. ganlib's loop against a conventional one: the same networks, the same maths, the same images,
   one after the other in short turns, so that whatever else the machine does falls on both.
2. ganlib's step against its matrix products alone, recorded from a real step and repeated: as
   ganlib multiplies, and as PyTorch does by default. The conventional loop against these products
   is the bound: what a step that did nothing else would gain.
3. Importing ganlib against importing torch.

Each ratio is the median over the turns, with the smallest and the largest.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset

from ganlib import data
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import build, family
from ganlib.losses import LOSSES, Loss, discriminator_loss
from ganlib.precision import fast_float32_products
from ganlib.steps import discriminator_step, generator_step
from ganlib.training import Players, start, train

CONFIGS = {
    "gan": TrainingConfig(model="gan", loss="bce"),
    "cgan": TrainingConfig(model="cgan", loss="mse"),
}

# --- The conventional loop -----------------------------------------------------------------------


class PilDigits(Dataset):
    """Images as torchvision serves them: a PIL image, transformed each time it is asked for."""

    def __init__(self, images: Tensor, labels: Tensor, img_size: int):
        from torchvision import transforms

        self.pixels, self.labels = data.unscale(images).squeeze(1), labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.Resize((img_size, img_size)),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index].numpy())), self.labels[index]


def conventional_step(
    players: Players,
    loss: Loss,
    real: Tensor,
    z: Tensor,
    real_labels: tuple[Tensor, ...] = (),
    fake_labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor]:
    """G, then D, as tutorials write it: D's gradients made in G's step too, two passes of D."""
    generator, discriminator = players.generator, players.discriminator
    players.optimizers["g_optimizer"].zero_grad()
    fake = generator(z, *fake_labels)
    g_loss = loss.generator(discriminator(fake, *fake_labels))
    g_loss.backward()
    players.optimizers["g_optimizer"].step()

    players.optimizers["d_optimizer"].zero_grad()
    real_loss = loss.real(discriminator(real, *real_labels))
    fake_loss = loss.fake(discriminator(fake.detach(), *fake_labels))
    d_loss = discriminator_loss(real_loss, fake_loss)
    d_loss.backward()
    players.optimizers["d_optimizer"].step()
    return g_loss, d_loss


def conventional_epoch(players: Players, loader: DataLoader, config: TrainingConfig, log) -> None:
    """One pass over the loader, with the losses read and printed at every step."""
    loss, device = LOSSES[config.loss], choose_device(config.device)
    for i, (real, labels) in enumerate(loader):
        real, labels = real.to(device), labels.to(device)
        z = torch.randn(len(real), config.latent_dim, device=device)
        real_labels = fake_labels = ()
        if players.family.conditional:
            real_labels = (labels,)
            fake_labels = (torch.randint(config.n_classes, (len(real),), device=device),)
        g_loss, d_loss = conventional_step(players, loss, real, z, real_labels, fake_labels)
        print(f"[{i}/{len(loader)}] [D {d_loss.item():f}] [G {g_loss.item():f}]", file=log)


def conventional_players(config: TrainingConfig) -> Players:
    """The configured networks, with Dropout and Adam as PyTorch has them."""
    device, betas = choose_device(config.device), (config.b1, config.b2)
    networks = {name: network.to(device) for name, network in build(config).items()}
    for parent in [module for network in networks.values() for module in network.modules()]:
        for name, module in parent.named_children():
            if isinstance(module, torch.nn.Dropout):
                setattr(parent, name, torch.nn.Dropout(module.p))
    adams = [torch.optim.Adam(n.parameters(), config.lr, betas) for n in networks.values()]
    return Players(family(config.model), networks, dict(zip(("g_optimizer", "d_optimizer"), adams)))


# --- The matrix products of a step ---------------------------------------------------------------


class Products(TorchDispatchMode):
    """Records the two factors of every matrix product that PyTorch makes meanwhile."""

    def __init__(self):
        super().__init__()
        self.factors: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        if function is aten.mm.default:
            self.factors.append((args[0].detach(), args[1].detach()))
        elif function is aten.addmm.default:  # a Linear layer; its bias is not part of the product
            self.factors.append((args[1].detach(), args[2].detach()))
        return function(*args, **(kwargs or {}))


def products_of_a_step(
    players: Players, config: TrainingConfig, real: Tensor, labels: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """The factors of all matrix products of one of ganlib's steps: forward, for the gradients of
    the weights, and for the gradients of the layers' inputs where they are needed."""
    z = torch.randn(len(real), config.latent_dim, device=real.device)
    labels = (labels,) if players.family.conditional else ()
    pair = players.generator, players.discriminator
    loss = LOSSES[config.loss]
    with Products() as products:
        fake, _ = generator_step(*pair, players.optimizers["g_optimizer"], loss, z, labels)
        discriminator_step(
            pair[1], players.optimizers["d_optimizer"], loss, real, fake, labels, labels
        )
    return products.factors


def repeat_products(factors: list[tuple[Tensor, Tensor]], times: int, fast: bool) -> None:
    with fast_float32_products() if fast else nullcontext():
        for _ in range(times):
            for left, right in factors:
                torch.mm(left, right)


# --- Timing --------------------------------------------------------------------------------------


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """How long ``work`` takes, the device's share included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def in_turns(
    works: dict[str, Callable], turns: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each work in each turn; the first, which warms caches up, is left out."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            taken = seconds(work, device)
            if turn:
                times[name].append(taken)
    return times


def ratio(above: list[float], below: list[float]) -> str:
    """The median of paired ratios, with the smallest and the largest."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def compare(config: TrainingConfig, dataset: str, n_images: int, turns: int) -> dict:
    """Times of ganlib's loop, the conventional loop and the products, over the same images."""
    device = choose_device(config.device)
    images = data.load(dataset, "train", config.img_size, device, size=n_images)
    native = data.load(dataset, "train", 8 if dataset == "digits" else 28, size=n_images)
    steps = -(-n_images // config.batch_size)

    mine = start(config)
    turn_by_turn = train(mine, images.images, images.labels, config)

    theirs = conventional_players(config)
    pil = PilDigits(native.images, native.labels, config.img_size)
    loader = DataLoader(pil, batch_size=config.batch_size, shuffle=True)

    other = start(config)
    batch = images.images[: config.batch_size], images.labels[: config.batch_size]
    factors = products_of_a_step(other, config, *batch)
    with open(os.devnull, "w") as log:
        times = in_turns(
            {
                "ganlib": lambda: next(turn_by_turn),
                "conventional": lambda: conventional_epoch(theirs, loader, config, log),
                "products": lambda: repeat_products(factors, steps, fast=True),
                "default products": lambda: repeat_products(factors, steps, fast=False),
            },
            turns,
            device,
        )
    return {"times": times, "steps": steps, "factors": factors}


IMPORTS = """
import time
began = time.perf_counter()
import numpy, torch
then = time.perf_counter()
import ganlib
package = time.perf_counter()
from ganlib import data, losses, training
from ganlib.runs import store
print(then - began, package - then, time.perf_counter() - then)
"""


def import_seconds(times: int = 5) -> list[list[float]]:
    """Seconds of ``import torch``, then of ``import ganlib``, then of that and its rooms."""
    measured = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
        )
        measured.append([float(text) for text in done.stdout.split()])
    return [list(column) for column in zip(*measured, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=5120, help="of a turn; default: %(default)s")
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    parser.add_argument("--shapes", action="store_true", help="list the matrix products")
    options = parser.parse_args()
    device = choose_device(options.device)
    found = data.load("mnist", "train", 28, fallback=True)
    dataset, n_images = found.name, min(options.images, len(found))
    where = f"{torch.get_num_threads()} CPU thread(s)"
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    print(f"{found!r}\n{n_images:,} images a turn, {options.turns} turns, on {where}\n")

    print("model  step, ms  conventional / ganlib   / its products  ", end="")
    print("      ganlib / its products   / default products")
    for model, default in CONFIGS.items():
        config = TrainingConfig(**vars(default) | {"n_epochs": 10**6, "device": str(device)})
        result = compare(config, dataset, n_images, options.turns)
        times, steps = result["times"], result["steps"]
        step = statistics.median(times["ganlib"]) / steps * 1000
        faster = ratio(times["conventional"], times["ganlib"])
        bound = ratio(times["conventional"], times["products"])
        over = ratio(times["ganlib"], times["products"])
        default = ratio(times["ganlib"], times["default products"])
        print(f"{model:5}  {step:8.2f}  {faster:22}  {bound:22}  {over:22}  {default}", flush=True)
        if options.shapes:
            for left, right in result["factors"]:
                print(f"       {tuple(left.shape)} x {tuple(right.shape)}")

    torch_s, package, rooms = (statistics.median(column) for column in import_seconds())
    print(f"\nimport torch {torch_s:.2f} s; beyond it, import ganlib {package:.4f} s, ", end="")
    print(f"with its data, losses, networks, runs and training {rooms:.3f} s")


if __name__ == "__main__":
    main()
