"""What every package needs and what knows nothing of sound: errors, files, configuration, saved models."""
