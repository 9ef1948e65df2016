"""Backbones: networks that turn sound into states over time. One file for each, and the table of all."""
