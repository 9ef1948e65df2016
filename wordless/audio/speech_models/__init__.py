"""Self-supervised models of waveforms in local Hugging Face folders: wav2vec 2.0, HuBERT, WavLM and data2vec-audio."""
