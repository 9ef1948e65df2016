"""Waveforms, spectrograms, manifests, splits and the embedded corpus: all that touches recordings."""

import os

# OpenMP's idle threads spin by default, and starve each other as soon as anything else runs on the machine: on two busy
# cores training ran at 2 steps per second spinning and 22 waiting, and decoding a word took 39 s instead of 0.1. To be
# set before PyTorch loads OpenMP; here, since every package imports this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
