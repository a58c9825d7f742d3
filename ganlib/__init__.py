"""GANs for handwritten digits: networks, losses, training, runs, figures.

The subject lies open: :mod:`~ganlib.data`, :mod:`~ganlib.losses`, :mod:`~ganlib.models`,
:mod:`~ganlib.steps`, :mod:`~ganlib.families`, :mod:`~ganlib.training`, :mod:`~ganlib.sampling`.
The rooms on top of it, from the ground up: :mod:`~ganlib.runs`, :mod:`~ganlib.judge`,
:mod:`~ganlib.studies`, :mod:`~ganlib.figures`, :mod:`~ganlib.page`, :mod:`~ganlib.cli`. Import
what you need; importing the package itself loads none of them.
"""

import os

# PyTorch's threads on the CPU wait for each other in a busy loop, by default for so long that,
# where another program holds a core, a training takes twenty times as long (GNU's OpenMP). A short
# wait costs a few per cent when nothing else runs. It is read when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"


class Refused(ValueError):
    """What was asked for cannot be; its one line says what would be right.

    Any other ValueError is a fault of the library's own.
    """


class RunError(RuntimeError):
    """A run's folder is missing, damaged, of another version, or in the way."""
