"""The tokenizer: patches, autoencoder, codebook and codes."""
