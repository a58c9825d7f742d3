"""What is kept of a run's losses: exact extremes and epoch statistics, in little space."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlib.steps import LOGGED

STATS = ("mean", "min", "max", "last", "p05", "p95")  # kept of each epoch, see summarise
LOG_INTERVAL = 400  # the paper's sample_interval; those iterations are kept
# Ways to log a loss: a paper that names none may have used any.
LOGGING_RULES = ("every iteration", "every 400", "last of each epoch", "epoch means")
WINDOW = 100  # iterations; each window's extremes are kept, see summarise


@dataclass(frozen=True)
class LossHistory:
    """What is known of a run's losses.

    ``iterations`` (K,) int64, counted from 1, and ``values`` (K, C) float32, a column for each of
    ``logged``: a choice of iterations that holds the extremes of the first two losses in every
    window of 100, and every 400th iteration. ``epochs`` (E, C, 6) float32: for each epoch and
    column, the STATS over all of its iterations. ``epoch_ends`` (E,): each epoch's last iteration.
    Raises ValueError if shapes or numbers are others.
    """

    iterations: Tensor
    values: Tensor
    epochs: Tensor
    epoch_ends: Tensor
    logged: tuple[str, ...] = LOGGED

    def __post_init__(self):
        n_kept, n_epochs, n = len(self.iterations), len(self.epoch_ends), len(self.logged)
        shapes = (n_kept,), (n_kept, n), (n_epochs, n, len(STATS)), (n_epochs,)
        fits = all(part.shape == shape for part, shape in zip(vars(self).values(), shapes))
        counts = self.iterations, self.epoch_ends
        if not (n_kept and n_epochs and fits) or any(
            (part.diff(prepend=part.new_zeros(1)) < 1).any() for part in counts
        ):
            raise ValueError("no history of losses has such parts")
        if not (self.values.isfinite().all() and self.epochs.isfinite().all()):
            raise ValueError("a loss is no number")

    def tensors(self) -> dict[str, Tensor]:
        """All but the columns' names, which the model knows: what a file keeps."""
        return {key: value.contiguous() for key, value in vars(self).items() if key != "logged"}

    def epoch(self, column: str, stat: str = "mean") -> Tensor:
        """One statistic of one logged number for each epoch: (E,)."""
        return self.epochs[:, self.logged.index(column), STATS.index(stat)]

    def range(self, *columns: str) -> tuple[float, float]:
        """The smallest and largest value that any of ``columns`` took at any iteration."""
        return self.ranges(*columns)["every iteration"]

    def ranges(self, *columns: str) -> dict[str, tuple[float, float]]:
        """The smallest and largest value of any of ``columns`` that each way of logging shows.

        Keys as LOGGING_RULES, in that order.
        """
        which = [self.logged.index(column) for column in columns]
        epochs = {stat: self.epochs[:, which, place] for place, stat in enumerate(STATS)}
        seen = {
            "every iteration": torch.cat([epochs["min"], epochs["max"]]),
            "every 400": self.values[self.iterations % LOG_INTERVAL == 0][:, which],
            "last of each epoch": epochs["last"],
            "epoch means": epochs["mean"],
        }
        # A run of fewer iterations than 400 logs nothing every 400th.
        return {rule: (float(v.min()), float(v.max())) for rule, v in seen.items() if v.numel()}


def summarise(losses: Tensor, epoch_ends: Tensor, logged: tuple[str, ...] = LOGGED) -> LossHistory:
    """All logged numbers (iterations, columns) to a LossHistory; extremes stay exact."""
    starts = [0, *epoch_ends.tolist()[:-1]]
    epochs = []
    for first, end in zip(starts, epoch_ends.tolist()):
        part = losses[first:end]
        low, high = torch.quantile(part, torch.tensor([0.05, 0.95]), dim=0)
        stats = [part.mean(0), part.amin(0), part.amax(0), part[-1], low, high]
        epochs.append(torch.stack(stats, dim=1))
    keep = set(range(LOG_INTERVAL - 1, len(losses), LOG_INTERVAL)) | {
        end - 1 for end in epoch_ends.tolist()
    }
    for first in range(0, len(losses), WINDOW):
        window = losses[first : first + WINDOW, :2]  # g_loss and d_loss
        keep.update((first + torch.cat([window.argmin(0), window.argmax(0)])).tolist())
    index = torch.tensor(sorted(keep))
    return LossHistory(index + 1, losses[index], torch.stack(epochs), epoch_ends, logged)
