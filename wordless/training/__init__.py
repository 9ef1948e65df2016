"""The training loop, its state, its checkpoints, and the processes of a distributed run."""
