"""GANs for handwritten digits: networks, losses, training, runs, figures.

The rooms, from the ground up: :mod:`~ganlib.data`, :mod:`~ganlib.networks`,
:mod:`~ganlib.losses`, then :mod:`~ganlib.training`, :mod:`~ganlib.runs`,
:mod:`~ganlib.plotting` and :mod:`~ganlib.widgets`. Import the rooms you need; importing the
package itself runs nothing.
"""

__version__ = "0.1.0"
