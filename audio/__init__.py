"""Everything about recordings: waveforms, spectrograms, manifests, splits and the embedded corpus."""

import os

# By default OpenMP's idle threads spin, and slow each other down as soon as anything else runs on the machine: on two
# busy cores training ran at 2 steps per second spinning and 22 waiting, and decoding a word took 39 s instead of 0.1.
# PyTorch reads the variable when it loads OpenMP. It is set here because every package imports this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
