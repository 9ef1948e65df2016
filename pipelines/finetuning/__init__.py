"""``wordless finetune`` and ``wordless predict``: heads on bodies, trained on labels."""
