"""Commands, stages, the store, the one training loop and the report: what chains the packages."""

import os

# OpenMP's idle threads spin by default, and starve each other as soon as anything else runs on the machine: training
# the autoencoder on two busy cores took 2 steps per second spinning and 22 waiting. To be set before PyTorch loads
# OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
