"""Long recordings in segments: every stage hears of a segment what it would hear of a file cut to it, codes keep their
place in the file, and one recording runs through the whole chain."""

import json
import re
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile

from pipelines.stages.codes import codes
from pipelines.stages.features import signal_features
from pipelines.stages.listening import decode_clips
from pipelines.stages.stored_arrays import filter_banks, waveforms
from pipelines.store.store import TIMINGS, Entry
from tests.pipelines.tiny import AUDIO, LISTENING, corpus_of, playback_of, reading_of, silent_session, sweep
from tests.pipelines.tiny_chain import OWN, called_at_once
from tokenizer.parquet import CodedClip, read_codes
from vocoder.kinds import ORIGINAL
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, read_manifest
from wordless.audio.recordings.splits import SplitConfig

ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)


def record(path: Path, seconds: float, rate: int) -> Path:
    """Rising tones in noise, one after another."""
    rng = np.random.default_rng(crc32(path.name.encode()))
    tones = np.concatenate([sweep(0.5, rate, low=100 + 30 * (number % 9)) for number in range(round(seconds / 0.5))])
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for start in range(0, len(tones), rate):  # libsndfile's Vorbis encoder takes no more at once
            piece = tones[start : start + rate]
            file.write(piece + rng.normal(0, 0.01, len(piece)))
    return path


def coded_clips(manifest: Manifest, run: Path, place: Path) -> list[CodedClip]:
    """The clips of a manifest in the codes of a run."""
    tokenizer = Entry(stage="tokenizer", key="a", folder=run / "tokenizer", reused=True)
    return list(read_codes(codes(silent_session(place), manifest, tokenizer).folder)[1])


@pytest.mark.parametrize(("name", "rate"), [("a.wav", AUDIO.sample_rate), ("a.ogg", 16_000)])
def test_codes_of_segments_stand_where_those_of_the_whole_recording_stand(
    tmp_path: Path, run_folder: Path, name: str, rate: int
) -> None:
    """Code k of a segment from second s on is code s * codes_per_second + k of the whole, but for the first ones."""
    record(tmp_path / "in" / name, 12.5, rate)
    config = CorpusConfig(root=str(tmp_path / "in"), segment_seconds=2.0, split=ALL_TRAIN)
    (whole,) = coded_clips(corpus_of(replace(config, segment_seconds=None), tmp_path).manifest, run_folder, tmp_path)
    segments = coded_clips(corpus_of(config, tmp_path).manifest, run_folder, tmp_path / "segments")
    assert [clip.span for clip in segments] == [*((float(s), s + 2.0) for s in range(0, 12, 2)), (12.0, 12.5)]
    per_code = whole.codes.format.samples_per_code
    agreeing = total = 0
    for clip in segments:
        assert clip.span is not None
        first = clip.span[0] * AUDIO.sample_rate / per_code
        assert first == int(first)
        theirs = whole.codes.values[int(first) : int(first) + len(clip.codes.values)]
        if rate == AUDIO.sample_rate and clip.span[0] > 0:  # the first window reaches back before the segment
            assert np.array_equal(clip.codes.values[2:], theirs[2:])
        agreeing, total = agreeing + int((clip.codes.values == theirs).sum()), total + theirs.size
    assert agreeing / total > 0.97
    assert sum(len(clip.codes.values) for clip in segments) == len(whole.codes.values)


def made(manifest: Manifest, run: Path, place: Path) -> dict[str, bytes]:
    """What stages make of the sound of a manifest's clips, whatever they are called: stage/file -> content.

    Sounds of codes are left out, because they draw from the names of the clips.
    """
    session = silent_session(place)
    tokenizer = Entry(stage="tokenizer", key="a", folder=run / "tokenizer", reused=True)
    vocoder = Entry(stage="vocoder", key="b", folder=run / "vocoder", reused=True)
    heard = replace(LISTENING, judged_clips=3, seconds=0.3)
    entries = [
        signal_features(reading_of(session, manifest), tokenizer, autoencoder="a", methods=("log_mel", "bottleneck")),
        filter_banks(session, manifest),
        waveforms(session, manifest, AUDIO.sample_rate),
        decode_clips(playback_of(session, manifest, tokenizer, vocoder, config=heard)),
    ]
    return {
        f"{entry.stage}/{path.name}": path.read_bytes()
        for entry in entries
        for path in sorted(entry.folder.iterdir())
        if path.name not in (TIMINGS, "entry.json", "clips.json")
        if entry.stage != "decoded" or path.stem.endswith(ORIGINAL)
    }


@pytest.mark.parametrize("name", ["a.flac", "a.ogg"])
def test_every_stage_hears_of_a_segment_what_it_hears_of_a_file_cut_to_it(
    tmp_path: Path, run_folder: Path, name: str
) -> None:
    path = record(tmp_path / "in" / name, 12.0, 11_025)
    config = CorpusConfig(root=str(tmp_path / "in"), segment_seconds=1.0)
    segments = corpus_of(config, tmp_path).manifest
    samples, rate = soundfile.read(path, dtype="float32")
    cut: list[Clip] = []
    for clip in segments.clips:
        own = f"{clip.segment:05d}.wav"
        soundfile.write(tmp_path / own, samples[clip.start : clip.start + clip.num_samples], rate, subtype="FLOAT")
        cut.append(replace(clip, path=own, segment=None, start=0))
    files = Manifest(root=tmp_path, clips=tuple(cut))
    assert {split: len(segments.of(split)) for split in SPLITS} == {"train": 10, "validation": 1, "test": 1}
    assert made(segments, run_folder, tmp_path / "1") == made(files, run_folder, tmp_path / "2")


def test_long_clips_are_advised_to_be_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "in" / "a.wav", 61.0, 1_000)
    for seconds, advised in ((None, True), (10.0, False)):
        config = CorpusConfig(root=str(tmp_path / "in"), segment_seconds=seconds, split=ALL_TRAIN)
        corpus_of(config, tmp_path / "store", printed=True)
        told = capsys.readouterr().err
        assert bool(re.search(r"\b1 clip\b.*\b60 s\b", told)) is advised
        assert ("corpus.segment_seconds=10 " in told) is advised


def test_one_recording_runs_through_the_whole_chain(tmp_path: Path) -> None:
    """Its labels come from a table of parts; one part is silent, and one lies behind the end of the file."""
    path = record(tmp_path / "in" / "field.ogg", 26.0, 8_000)
    rows = [f"field.ogg,{start},{start + 2},{'even' if start % 4 else 'odd'}" for start in range(0, 26, 2)]
    table = path.with_name("clips.csv")
    table.write_text("\n".join(["path,start,end,label", *rows, "field.ogg,30,32,odd"]) + "\n")
    words = [
        *OWN,
        f"corpus.table={table}",
        "corpus=folder",
        "corpus.segment_seconds=1",
        f"store.root={tmp_path / 'store'}",
        "compare.methods=[bag_of_codes,gpt]",
    ]
    done = called_at_once(tmp_path, *words, "corpus.split.test_fraction=0.2", "corpus.split.validation_fraction=0.2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\b26 clips\b.*\b26\b.*\bsegments\b.*\b1 recording\b", done.stderr)
    assert re.search(r"\b1 recording\b.*\b3 splits\b", done.stderr)
    manifest = read_manifest(tmp_path / "run" / "manifest.tsv", path.parent)
    assert {split: len(manifest.of(split)) for split in SPLITS} == {"train": 16, "validation": 5, "test": 5}
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["corpus"]["name"] == "in"
    assert results["corpus"]["recordings"] == 1
    assert results["comparison"]["clips"] == 5
    assert results["listening"]["clips"][0]["path"] in {clip.name for clip in manifest.of("test")}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "26 clips of 1 recording" in page
    assert "other recordings" in page
    assert re.search(r"field\.ogg#t=30,32\t.*\bend\b", (tmp_path / "run" / "rejected.tsv").read_text())
