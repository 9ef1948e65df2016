"""Stages of codes at several rates: their codebooks, their language models, and what these make of recordings."""
