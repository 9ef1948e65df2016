"""Continuations by language models of several rates, beside those of one GPT."""
