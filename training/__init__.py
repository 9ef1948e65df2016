"""The one training loop: its state, its checkpoints, and the processes that share it."""
