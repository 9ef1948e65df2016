"""The tokenizer: patches, autoencoder, codebook and codes."""

# Python runs this file before any other of the package. So the table of kinds is there for whoever has the class, also
# for a process that reads a pickled tokenizer.
from tokenizer.tokenizer import Tokenizer as Tokenizer
