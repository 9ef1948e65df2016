"""``wordless publish``: what of a run goes to the Hugging Face hub, its model card, and the upload."""
