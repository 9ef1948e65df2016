"""Measures of decoded sound."""
