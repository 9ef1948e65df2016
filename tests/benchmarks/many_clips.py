"""A corpus of any number of short clips: recordings of ten minutes, and a table of their parts.

python -m tests.benchmarks.many_clips 1000000 /tmp/clips
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

RATE, SAMPLES, LABELS, TOGETHER = 8000, 2400, 10, 2000  # clips of 0.3 s


def main(clips: int, folder: Path) -> None:
    """Write clips, each a noisy tone whose label stands for its pitch."""
    folder.mkdir(parents=True, exist_ok=True)
    time, rng = np.arange(SAMPLES) / RATE, np.random.default_rng(0)
    with (folder / "clips.tsv").open("w") as table:
        table.write("path\tlabel\tgroup\tstart\tend\n")
        for number, first in enumerate(range(0, clips, TOGETHER)):
            labels = rng.integers(LABELS, size=min(TOGETHER, clips - first))
            pitches = (200 + 120 * labels) * rng.uniform(0.7, 1.4, len(labels))
            tones = 0.2 * np.sin(2 * np.pi * pitches[:, None] * time) + rng.uniform(-0.03, 0.03, (len(labels), SAMPLES))
            soundfile.write(folder / f"{number:07d}.wav", tones.reshape(-1), RATE, subtype="PCM_16")
            for place, label in enumerate(labels):
                table.write(
                    f"{number:07d}.wav\tpitch_{label}\tsite_{number}\t{0.3 * place:.1f}\t{0.3 * (place + 1):.1f}\n"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
