"""Everything about recordings: waveforms, spectrograms, manifests, splits and the embedded corpus."""
