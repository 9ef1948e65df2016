"""``wordless decode`` and ``wordless generate``: codes to sound."""
