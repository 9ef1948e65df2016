"""Import what numba compiles at its import, while no other process does so; for the server of `tests.killing`."""

from vocoder.judging.pitch import has_pitch

has_pitch()
