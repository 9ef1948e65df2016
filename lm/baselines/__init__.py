"""Encoders that hear spectrograms, not codes: what the language model's representations are compared with."""
