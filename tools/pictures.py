"""Draw the picture on the front page from a recorded run: ``python tools/pictures.py``.

One z as all ten digits at five epochs, so a row is a moment and a column a digit.
"""

import sys
from pathlib import Path

import torch

from ganlib import runs
from ganlib.plotting import mosaic
from ganlib.sampling import png

EPOCHS = (0, 1, 5, 25, 200)
COVER = Path(__file__).resolve().parents[1] / "book" / "_static" / "cover.png"


def cover(run: runs.Run, row: int = 0) -> bytes:
    """The PNG: five epochs of row ``row`` of a conditional run's sheets, twice as large."""
    images = torch.cat([run.samples(epoch)[10 * row : 10 * row + 10] for epoch in EPOCHS])
    return png(mosaic(images, columns=10).repeat(2, axis=0).repeat(2, axis=1))


if __name__ == "__main__":
    row = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    runs.write_whole(COVER, cover(runs.find_run("cgan"), row))
