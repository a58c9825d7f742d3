"""How fast is a training on a GPU, its steps called kernel by kernel or replayed? Printed only.

    python bench/gpu.py

For the GAN, the CGAN and chapter 5's best model: milliseconds a step over a whole epoch of MNIST,
all that an epoch does included, once as every step calls its kernels and once as
`ganlib.steps.Replayed` has them launched as one. The better of two epochs of each. And, replayed,
the same for SEEDS seeds trained as one (`ganlib.together`), a seed's part of it.
"""

import contextlib
import sys
import time

import torch

from ganlib import Refused, data, training
from ganlib.configuration import TrainingConfig
from ganlib.steps import Batch, Replayed
from ganlib.together import start_together
from ganlib.training import Players, start, train_epoch

CONFIGS = {
    "gan": {"model": "gan", "loss": "bce"},
    "cgan": {"model": "cgan", "loss": "mse"},
    "cbn-dcgan-spectral": {"model": "cbn-dcgan-spectral", "loss": "bce", "ema": 0.999},
}
SEEDS = 8
WAYS = {"called": lambda iterate, rngs: iterate, "replayed": Replayed}


def milliseconds(players: Players, config: TrainingConfig, shown: Batch, turns: int = 2) -> float:
    """Of one step, on average over an epoch."""
    rng = torch.Generator("cuda").manual_seed(0)
    train_epoch(players, Batch(*(part[:640] for part in shown)), config, rng)
    seconds = []
    for _ in range(turns):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        train_epoch(players, shown, config, rng)  # its log is read at the end
        seconds.append(time.perf_counter() - begun)
    return 1000 * min(seconds) / -(-len(shown.images) // config.batch_size)


def main() -> int:
    if not torch.cuda.is_available():
        print("there is no CUDA GPU here")
        return 1
    digits = data.load("mnist", "train").to("cuda")
    shown = Batch(digits.images, digits.labels)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, milliseconds a step")
    for name, settings in CONFIGS.items():
        for precision in ("float32", "bfloat16"):
            config = TrainingConfig(**settings, device="cuda", precision=precision)
            found = {}
            for way, replayed in WAYS.items():
                training.Replayed = replayed
                found[way] = milliseconds(start(config), config, shown)
            ratio = found["called"] / found["replayed"]
            with contextlib.suppress(Refused):
                together = milliseconds(start_together(config, range(SEEDS)), config, shown)
                found[f"{SEEDS} seeds as one, each"] = together / SEEDS
            told = ", ".join(f"{way} {value:.2f}" for way, value in found.items())
            print(f"{name} in {precision}: {told}, ratio {ratio:.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
