"""Sound from codes: a conditional WaveNet, and methods without learning."""
