"""Encoders of spectrograms and waveforms: baselines for the language model's representations."""
