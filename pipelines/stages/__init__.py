"""Stages: from artifacts to an artifact, each under the key of what made it."""
