"""Patches, autoencoder, codebook and codes: sound in, discrete codes out."""
