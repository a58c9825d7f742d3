"""How fast is a training step? Printed and never asserted.

    python bench/training_step.py          (or: make bench)

For the GAN, the CGAN and chapter 5's best model, in short turns one after the other, so that
whatever else the machine does falls on all:

- the loop of the public scripts: their order of steps, their DataLoader with PIL transforms, noise
  from NumPy, target tensors, losses of probabilities, and both losses read and printed each step;
- a conventional loop: the same loader, reads and prints, but ganlib's noise and losses;
- ganlib's loop in float32 and, where the processor has units for it, in bfloat16;
- the products of those two alone: matrix products and convolutions, forward and backward, recorded
  from a real step and repeated. A step that did nothing else would take so long.

All train the same networks on the same images. Each ratio is the median over the turns, with the
smallest and the largest. With one thread, time is the processor's, so that what other programs
take of it does not count; with several it is the clock's. Then: importing ganlib against torch.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset

from ganlib import data
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import build, family
from ganlib.losses import LOSSES, Loss, discriminator_loss
from ganlib.precision import choose_precision, fast_float32_products
from ganlib.steps import Batch
from ganlib.training import Players, start, train_epoch

CONFIGS = {
    "gan": TrainingConfig(model="gan", loss="bce"),
    "cgan": TrainingConfig(model="cgan", loss="mse"),
    "cbn-dcgan-spectral": TrainingConfig(model="cbn-dcgan-spectral", loss="bce", ema=0.999),
}
aten = torch.ops.aten
CONVOLUTIONS = aten.convolution.default, aten.convolution_backward.default

# --- The other loops -----------------------------------------------------------------------------


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


def public_step(
    players: Players,
    loss: nn.Module,
    real: Tensor,
    z: Tensor,
    real_labels: tuple[Tensor, ...] = (),
    fake_labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor]:
    """G, then D, as the public scripts: probabilities held against tensors of ones and zeros."""

    def judged(images: Tensor, labels: tuple[Tensor, ...], target: Tensor) -> Tensor:
        return loss(torch.sigmoid(players.discriminator(images, *labels)), target)

    g_optimizer, d_optimizer = players.optimizers.values()
    ones, zeros = (torch.full((len(real), 1), value, device=real.device) for value in (1.0, 0.0))
    g_optimizer.zero_grad()
    fake = players.generator(z, *fake_labels)
    g_loss = judged(fake, fake_labels, ones)
    g_loss.backward()
    g_optimizer.step()

    d_optimizer.zero_grad()
    real_loss = judged(real, real_labels, ones)
    fake_loss = judged(fake.detach(), fake_labels, zeros)
    d_loss = (real_loss + fake_loss) / 2
    d_loss.backward()
    d_optimizer.step()
    return g_loss, d_loss


def public_epoch(players: Players, loader: DataLoader, config: TrainingConfig, log) -> None:
    """One pass over the loader as the public scripts make it."""
    loss = {"bce": nn.BCELoss, "mse": nn.MSELoss}[config.loss]()
    device = choose_device(config.device)
    for i, (real, labels) in enumerate(loader):
        real, labels, n = real.to(device), labels.to(device), len(real)
        z = torch.tensor(np.random.normal(0, 1, (n, config.latent_dim)), dtype=torch.float32)
        real_labels = fake_labels = ()
        if players.family.conditional:
            real_labels = (labels,)
            fake_labels = (torch.tensor(np.random.randint(0, config.n_classes, n)).to(device),)
        g_loss, d_loss = public_step(players, loss, real, z.to(device), real_labels, fake_labels)
        print(f"[{i}/{len(loader)}] [D {d_loss.item():f}] [G {g_loss.item():f}]", file=log)


# --- The products of a step ----------------------------------------------------------------------


class Products(TorchDispatchMode):
    """Records every matrix product and convolution that PyTorch makes meanwhile, as a call."""

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[Callable, tuple]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kept = tuple(arg.detach() if isinstance(arg, Tensor) else arg for arg in args)
        if function is aten.addmm.default:  # a Linear layer; its bias is not part of the product
            self.calls.append((torch.mm, kept[1:3]))
        elif function is aten.mm.default:
            self.calls.append((torch.mm, kept))
        elif function in CONVOLUTIONS:
            self.calls.append((function, kept))
        return function(*args, **(kwargs or {}))


def products_of_a_step(
    players: Players, config: TrainingConfig, shown: Batch
) -> list[tuple[Callable, tuple]]:
    """All products of one of ganlib's steps: forward, for the gradients of the weights, and for
    the gradients of the layers' inputs where they are needed."""
    with Products() as products:
        train_epoch(
            players, shown, replace(config, batch_size=len(shown.images)), torch.Generator()
        )
    return products.calls


def repeat_products(calls: list[tuple[Callable, tuple]], times: int) -> None:
    for _ in range(times):
        for function, args in calls:
            function(*args)


# --- Timing --------------------------------------------------------------------------------------


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long ``work`` takes, the device's share included."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


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
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def works_of(config: TrainingConfig, dataset: str, n_images: int, log) -> dict[str, Callable]:
    """What is compared, by name; each works through the same images once."""
    device = choose_device(config.device)
    images = data.load(dataset, "train", config.img_size, device, size=n_images)
    native = data.load(dataset, "train", 8 if dataset == "digits" else 28, size=n_images)
    steps = -(-n_images // config.batch_size)
    pil = PilDigits(native.images, native.labels, config.img_size)
    loader = DataLoader(pil, batch_size=config.batch_size, shuffle=True)
    shown = Batch(images.images, images.labels)
    works: dict[str, Callable] = {}
    for name, epoch in (("public scripts", public_epoch), ("conventional", conventional_epoch)):
        theirs = conventional_players(config)
        works[name] = lambda epoch=epoch, theirs=theirs: epoch(theirs, loader, config, log)
    products = {}
    for precision in dict.fromkeys(("float32", choose_precision("auto", device))):
        mine = replace(config, precision=precision)
        players, rng = start(mine), torch.Generator(device).manual_seed(0)
        works[precision] = lambda p=players, c=mine, r=rng: train_epoch(p, shown, c, r)
        first = Batch(*(part[: config.batch_size] for part in shown))
        calls = products_of_a_step(start(mine), mine, first)
        products[f"{precision} products"] = lambda calls=calls: repeat_products(calls, steps)
    return works | products


def compare(config: TrainingConfig, dataset: str, n_images: int, turns: int) -> dict:
    """Seconds of every loop and of the products alone, by name, in each turn."""
    with open(os.devnull, "w") as log, fast_float32_products():
        return in_turns(
            works_of(config, dataset, n_images, log), turns, choose_device(config.device)
        )


def show(config: TrainingConfig, times: dict, steps: int, steps_an_epoch: int) -> None:
    """A line for each work: milliseconds a step, seconds an epoch, and its ratios to some."""
    against = [name for name in ("float32", "bfloat16", "float32 products") if name in times]
    against += [name for name in ("bfloat16 products",) if name in times]
    print(f"\n{config.model:19}  ms a step  s an epoch", end="")
    print("".join(f"  {'/ ' + name:22}" for name in against))
    for name, taken in times.items():
        step = statistics.median(taken) / steps
        print(f"{name:19}  {1000 * step:9.2f}  {step * steps_an_epoch:10.1f}", end="")
        print("".join(f"  {ratio(taken, times[other]):22}" for other in against), flush=True)


def show_profile(config: TrainingConfig, dataset: str, n_images: int) -> None:
    """Where ganlib's steps spend their time: the largest shares, each operation's own.

    Of calls alike, in operation and shapes, each counts as long as their median: one during which
    another program had the processor would count for a hundred.
    """
    works = works_of(config, dataset, n_images, None)
    for name in [name for name in ("float32", "bfloat16") if name in works]:
        with fast_float32_products():
            works[name]()
            with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
                works[name]()
        alike, spent = defaultdict(list), Counter()
        for event in seen.events():
            alike[event.name, str(event.input_shapes)].append(event.self_cpu_time_total)
        for (operation, _), times in alike.items():
            spent[operation] += len(times) * statistics.median(times)
        shares = [f"{key} {time / spent.total():.1%}" for key, time in spent.most_common(16)]
        print(f"{config.model} in {name}: {', '.join(shares)}")


def processor(device: torch.device) -> str:
    """What the device is called, and how busy its machine is."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    named = Path("/proc/cpuinfo")
    named = re.search("model name.*: (.*)", named.read_text()) if named.exists() else None
    units = "with" if choose_precision("auto", device) == "bfloat16" else "without"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{named[1] if named else 'a CPU'} {units} bfloat16 units, "
        f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores{load}"
    )


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
    parser.add_argument("--turns", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=640, help="of a turn; default: %(default)s")
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    parser.add_argument("--models", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--profile", action="store_true", help="where the steps spend their time")
    options = parser.parse_args()
    device = choose_device(options.device)
    found = data.load("mnist", "train", 28, fallback=True)
    n_images = min(options.images, len(found))
    print(f"{found!r}\n{n_images:,} images a turn, {options.turns} turns, on {processor(device)}")
    for model in options.models:
        config = replace(CONFIGS[model], device=str(device))
        steps, whole = (-(-n // config.batch_size) for n in (n_images, len(found)))
        show(config, compare(config, found.name, n_images, options.turns), steps, whole)
        if options.profile:
            show_profile(config, found.name, n_images)

    torch_s, package, rooms = (statistics.median(column) for column in import_seconds())
    print(f"\nimport torch {torch_s:.2f} s; beyond it, import ganlib {package:.4f} s, ", end="")
    print(f"with its data, losses, networks, runs and training {rooms:.3f} s")


if __name__ == "__main__":
    main()
