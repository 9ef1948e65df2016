"""Waveforms, spectrograms, manifests, splits and the embedded corpus: all that touches recordings."""
