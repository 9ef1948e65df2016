"""Encoders of spectrograms: baselines for the language model's representations."""
