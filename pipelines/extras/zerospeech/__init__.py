"""Tests of what the GPT knows of words and sentences."""
