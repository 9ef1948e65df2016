"""What each code stands for: the nearest sounds of the most frequent codes, and how codes go with labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.code_table import CodeTable, Information, chance, information, label_counts
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read_beginning
from wordless.audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from wordless.audio.recordings.selection import choose_evenly
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.threads import one_thread

CODE_TABLE = "code_table.json"
SPLITS: tuple[Split, ...] = ("test",)
MAX_CLIPS, MAX_SECONDS = 400, 30.0  # clips, and of each its beginning
SHOWN, EXAMPLES = 12, 3  # codes with sounds, and sounds of each
SOUND_SECONDS = 0.3  # around the middle of a patch
MAX_CLASSES = 100  # more labels are names of clips rather than classes


def code_table(session: Session, manifest: Manifest, tokenizer_entry: Entry, *, separator: str | None) -> Entry:
    """Describe the codes of test clips; WAV files hold the sounds nearest to the most frequent codes.

    ``separator`` separates several labels of one clip. Such labels are left out, because a patch has one label here.
    """
    clips = choose_evenly(manifest.of("test"), MAX_CLIPS)
    config = {"clips": [[clip.name, clip.label] for clip in clips], "separator": separator}
    inputs = {"tokenizer": tokenizer_entry.key, "manifest": audio_hash(manifest, SPLITS)}
    recipe = Recipe("code_table", 2, config=config, inputs=inputs)

    @one_thread()
    def make(folder: Path) -> None:
        tokenizer = Tokenizer.from_pretrained(tokenizer_entry.folder)
        table = CodeTable(tokenizer=tokenizer, examples=EXAMPLES)
        for clip in clips:
            table.add(_beginning(manifest, clip, tokenizer))
        shown = np.argsort(-table.counts, kind="stable")[:SHOWN].tolist()
        for code in shown:
            for number, found in enumerate(table.nearest.get(code, [])):
                samples = _beginning(manifest, clips[found.clip], tokenizer)
                around(samples, found.step, tokenizer).write(folder / sound_name(code, number))
        labels = None if separator else [clip.label for clip in clips]
        described = _describe(table, clips, labels)
        write_json(folder / CODE_TABLE, {**described, "shown": shown, "sound_seconds": SOUND_SECONDS})

    return session.obtain(recipe, "sounds and labels of the codes", make, files=[CODE_TABLE, "*.wav"])


def sound_name(code: int, number: int) -> str:
    """Name the WAV file of a code's nearest sound, counted from 0."""
    return f"{code}_{number}.wav"


def around(samples: FloatArray, step: int, tokenizer: Tokenizer) -> Waveform:
    """Cut `SOUND_SECONDS` of a clip whose middle is the middle of time step ``step``; silence stands beyond the clip.

    ::

        codes    [   ][   ][step][   ][   ]
        sound        [      ^^      ]
    """
    rate, size = tokenizer.format.sample_rate, tokenizer.format.samples_per_code
    length = round(SOUND_SECONDS * rate)
    start = step * size + size // 2 - length // 2
    padded = np.pad(samples, (length, length))  # sample i of the clip is sample i + length
    return Waveform(samples=padded[start + length : start + 2 * length], sample_rate=rate)


def _beginning(manifest: Manifest, clip: Clip, tokenizer: Tokenizer) -> FloatArray:
    rate = tokenizer.format.sample_rate
    return read_beginning(manifest.root / clip.path, rate, MAX_SECONDS, part=clip.part).samples


def _describe(table: CodeTable, clips: Sequence[Clip], labels: Sequence[str | None] | None) -> dict[str, object]:
    counts, spectra = table.counts, table.spectra
    rows = [
        {
            "code": code,
            "share": float(counts[code] / max(counts.sum(), 1)),
            "spectrum": spectra[code].round(3).tolist(),
            "nearest": [
                {"clip": clips[each.clip].name, "step": each.step, "file": sound_name(code, number)}
                for number, each in enumerate(table.nearest.get(code, []))
            ],
            "label": None,
            "purity": None,
        }
        for code in range(len(counts))
    ]
    classes = sorted({label for label in labels or () if label is not None})
    if labels is None or None in labels or not 2 <= len(classes) <= MAX_CLASSES or not counts.any():
        return {"clips": len(clips), "codes": rows, "labels": None}
    indices = [classes.index(label) for label in labels if label is not None]
    by_label = label_counts(table.histograms, indices, len(classes))
    for row, of_code in zip(rows, by_label, strict=True):
        if of_code.any():
            row |= {"label": classes[int(of_code.argmax())], "purity": float(of_code.max() / of_code.sum())}
    by_chance = chance(table.histograms, indices, len(classes), seed=0)
    known = {**_values(information(by_label)), **{f"chance_{key}": value for key, value in _values(by_chance).items()}}
    return {"clips": len(clips), "codes": rows, "labels": {"classes": len(classes), **known}}


def _values(found: Information) -> dict[str, float]:
    return {"purity": found.purity, "mutual_information": found.mutual_information}
