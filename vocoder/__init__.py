"""A conditional WaveNet that turns codes back into sound."""
