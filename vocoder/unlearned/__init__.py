"""Sound from codes without learning: Griffin-Lim and the noise vocoder."""
