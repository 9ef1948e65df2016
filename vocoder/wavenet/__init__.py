"""The conditional WaveNet: the parallel network that trains and the step that generates."""
