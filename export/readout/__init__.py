"""Pictures that leave as spikes: pixels fire for the first time at a step that tells their potential.

The window grows by a read phase. When the image's steps are over, nothing more enters but the *drives*, inputs that
fire at every step of it. Each layer relays them, and is silenced by them; in the last layer they lift all pixels by the
same amount a step, so that the brighter one comes to the threshold first.

- :mod:`export.readout.relays`: how drives pass through a network, and hold still what is not to fire;
- :mod:`export.readout.first_spike`: which potential each step stands for, and the threshold and lift that tell most;
- :mod:`export.readout.spikes`: both, made of a network whose potentials would be read.
"""

from export.readout.spikes import with_spike_readout

__all__ = ["with_spike_readout"]
