"""From annotated recordings of three sites to a Raven table of the events of a fourth, as docs/guide.md does it."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from tests.calling import ROOT, python
from wordless.audio.reading import read

DATA = ROOT / "../shared/data/esc10"  # 8 clips of 5 s of each kind in each of five folds, of other makers
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="needs the recordings of ESC-10")]

RATE, MINUTES, CLIP = 16_000, 10, 5.0  # Hz, of each recording, seconds
SITES = {"north": 1, "east": 2, "west": 3, "south": 4}  # site -> fold of its clips
HEAD = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Species")
EVENTS = ("window=2.5", "hop=0.5", "threshold=0.5", "workers=1", "device=cpu")


def write_site(root: Path, site: str) -> None:
    """Two recordings with the clips of a fold at drawn places, in noise of the site's own level and colour.

    Parts without a clip are annotated as background, so that a probe knows them.
    """
    rng = np.random.default_rng(SITES[site])
    colour, gain = rng.uniform(0.5, 0.95), 10 ** (rng.uniform(-6, 0) / 20)
    kinds = {path.name.partition(" - ")[2]: path for path in sorted(DATA.iterdir()) if path.is_dir()}
    for number in (1, 2):
        noise = lfilter([1 - colour], [1, -colour], rng.normal(0, 0.02, MINUTES * 60 * RATE))
        sound, rows = noise.astype(np.float32), list[tuple[float, float, str]]()
        clips = [(kind, path) for kind, place in kinds.items() for path in of_fold(place, SITES[site], number)]
        clips += [("background", None)] * 10  # type: ignore[list-item]  # no file
        slots = rng.permutation(len(clips))
        for slot, (kind, path) in zip(slots.tolist(), clips, strict=True):
            begin = (slot + rng.uniform(0.1, 0.4)) * MINUTES * 60 / len(clips)
            rows.append((begin, begin + CLIP, kind))
            if path is not None:
                clip = read(path, RATE).samples[: round(CLIP * RATE)]
                first = round(begin * RATE)
                sound[first : first + len(clip)] += 0.1 * gain * clip / max(float(np.sqrt((clip**2).mean())), 1e-3)
        root.mkdir(exist_ok=True)
        soundfile.write(root / f"{site}_{number}.flac", np.clip(sound, -1, 1), RATE)
        with (root / f"{site}_{number}.Table.1.selections.txt").open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(HEAD)
            for row, (begin, end, kind) in enumerate(sorted(rows), 1):
                table.writerow((row, "Spectrogram 1", 1, f"{begin:.3f}", f"{end:.3f}", 100, 7900, kind))


def of_fold(place: Path, fold: int, number: int) -> Iterator[Path]:
    """Half of the clips of a kind and a fold."""
    paths = sorted(place.glob(f"{fold}-*"))
    yield from paths[number - 1 :: 2]


def called(place: Path, *words: str) -> tuple[str, str]:
    done = python("-m", "pipelines.cli", *words, cwd=place, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_events_of_an_unheard_site(tmp_path: Path) -> None:
    for site in SITES:
        write_site(tmp_path / ("unheard" if site == "south" else "sites"), site)
    called(
        tmp_path,
        *("run", "name=sites", "corpus.root=sites", "corpus.pattern={group}.flac", "corpus.split.by=group"),
        *("corpus.split.validation=[west_1]", "corpus.split.test=[west_2]", "stages=[tokenizer,probe]"),
        *("compare.methods=[log_mel,bag_of_codes]", "compare.poolings=[mean,max]", "compare.readout=similarities"),
        *("tokenizer.codebook_size=128", "tokenizer.patch.frames=8", "tokenizer.patch.mels=8"),
        *("tokenizer.autoencoder.bottleneck=32", "tokenizer.fit.steps=300", "device=cpu", "threads=1"),
    )
    precision = dict[str, float]()
    for method in ("auto", "log_mel", "bag_of_codes"):
        output = f"{method}.selections.txt"
        words = ("model=runs/sites", "input=unheard", f"output={output}", f"method={method}", *EVENTS)
        printed, _ = called(tmp_path, "predict", *words)
        *_, row = printed.splitlines()
        found = re.fullmatch(r"\d+\t(\d+)\t[\d.]+\t[\d.]+\t([\d.]+)\tall classes", row)
        assert found is not None
        precision[method] = float(found[2])
        rows = [*csv.DictReader((tmp_path / output).open(), delimiter="\t")]
        assert len(rows) == int(found[1])
        assert {Path(each["Begin Path"]).name for each in rows} == {"south_1.flac", "south_2.flac"}
        assert (tmp_path / f"{method}.selections.html").is_file()
    assert precision["auto"] >= precision["log_mel"] - 0.01
    assert precision["auto"] > 0.4  # 0.55, and log-mel 0.37: see docs/log.md
