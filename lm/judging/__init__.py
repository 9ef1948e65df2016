"""Tests that judge a language model of sound by its probabilities and states, without labels or training."""
