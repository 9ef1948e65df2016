"""The engines that compute the steps of a WaveNet."""
