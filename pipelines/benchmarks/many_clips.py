"""Corpora of any number of short clips, for measurements of time and memory per clip.

``python -m pipelines.benchmarks.many_clips 1000000 /tmp/clips`` writes long recordings, and
``clips.tsv``, which names parts of them. With ``--files`` every clip is a file of its own. A clip is a noisy tone; its
label stands for its pitch.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 8000  # Hz
CLIP_SAMPLES = 2400  # 0.3 s
LABELS = 10
PITCHES = 64  # different tones of each label
CLIPS_PER_RECORDING = 2000  # ten minutes
NOISE = 0.03  # of full scale


def write_corpus(folder: Path, clips: int, *, files: bool = False) -> Path:
    """Write a corpus of ``clips`` clips below a folder; return its table."""
    folder.mkdir(parents=True, exist_ok=True)
    time, rng = np.arange(CLIP_SAMPLES) / SAMPLE_RATE, np.random.default_rng(0)
    pitch = (200 + 120 * np.arange(LABELS)[:, None]) * rng.uniform(0.7, 1.4, (LABELS, PITCHES))
    change = rng.uniform(-300, 300, (LABELS, PITCHES))  # Hz per second
    cycles = pitch[..., None] * time + change[..., None] * time**2
    tones = np.round(0.2 * 32767 * np.sin(2 * np.pi * cycles)).astype(np.int16)  # (labels, pitches, samples)
    rng, reach = np.random.default_rng(0), round(NOISE * 32767)
    at_once = 1 if files else CLIPS_PER_RECORDING
    table = folder / "clips.tsv"
    with table.open("w") as rows:
        rows.write("path\tlabel\tgroup\tstart\tend\n")
        for number, first in enumerate(range(0, clips, at_once)):
            labels = rng.integers(LABELS, size=min(at_once, clips - first))
            path = f"{number // 1000:04d}/{number:07d}.wav"
            (folder / path).parent.mkdir(exist_ok=True)
            # One clip after the other, each a tone of its label, with noise.
            chosen = tones[labels, rng.integers(PITCHES, size=len(labels))].reshape(-1)
            noisy = chosen + rng.integers(-reach, reach, size=chosen.size, dtype=np.int16)
            soundfile.write(folder / path, noisy, SAMPLE_RATE, subtype="PCM_16")
            for place, label in enumerate(labels):
                span = ("", "") if files else (f"{0.3 * place:.1f}", f"{0.3 * (place + 1):.1f}")
                rows.write("\t".join((path, f"pitch_{label}", f"site_{number:07d}", *span)) + "\n")
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Write the corpus that the command line describes, and print the path of its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", action="store_true", help="write a file for each clip")
    given = parser.parse_args(words)
    print(write_corpus(given.folder, given.clips, files=given.files))


if __name__ == "__main__":
    main()
