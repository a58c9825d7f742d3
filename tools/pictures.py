"""Draw the still pictures of two pages from a recorded run: ``python tools/pictures.py [ROW]``.

The front page: one z as all ten digits at five epochs, so a row is a moment and a column a digit.
The playground, where scripts are off: the run's last sheet, one z a row and one digit a column.
"""

import sys
from pathlib import Path

import torch

from ganlib import runs
from ganlib.plotting import mosaic
from ganlib.sampling import png

EPOCHS = (0, 1, 5, 25, 200)
STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"


def cover(run: runs.Run, row: int = 0) -> bytes:
    """The PNG: five epochs of row ``row`` of a conditional run's sheets, twice as large."""
    images = torch.cat([run.samples(epoch)[10 * row : 10 * row + 10] for epoch in EPOCHS])
    return png(mosaic(images, columns=10).repeat(2, axis=0).repeat(2, axis=1))


if __name__ == "__main__":
    row = int(sys.argv[1]) if len(sys.argv) > 1 else 2  # a z whose digits are all legible
    run = runs.find_run("cgan")
    runs.write_whole(STATIC / "cover.png", cover(run, row))
    runs.write_whole(STATIC / "playground.png", png(run.sheet(EPOCHS[-1])))
