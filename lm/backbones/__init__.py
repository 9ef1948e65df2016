"""Backbones: networks that turn sound into states over time. One file for each; `lm/finetuned.py` has the table."""
