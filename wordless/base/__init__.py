"""Shared parts that know nothing of sound: errors, files, configuration, saved models."""
