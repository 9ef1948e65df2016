"""A run whose codes have a stream of pitch: what its models do with it, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.decode import decode
from pipelines.embed import embed
from pipelines.encode import encode
from pipelines.find import find
from pipelines.generate import generate
from pipelines.score import score
from pipelines.stages.options import TokenizerSettings
from pipelines.stages.tokenizer import PITCHES, pitches
from pipelines.store.store import Entry
from pipelines.store.work_folder import JOB
from tests.pipelines.tiny import AUDIO, GPT, save_run, session_of
from tests.pipelines.tiny_chain import run
from tokenizer.codes import PitchFormat
from tokenizer.options import PitchConfig
from tokenizer.parquet import CodedClip, read_codes, write_shard
from tokenizer.tokenizer import Tokenizer
from vocoder.options import Sampling
from vocoder.vocoder import Vocoder
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.base.errors import InputError

LEVELS = "tokenizer.pitch.levels=8"


@pytest.mark.slow
def test_codes_language_model_and_vocoder_have_the_pitch(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "run"
    streams = ("tokenizer.levels=2", "tokenizer.patch.mels=20", "lm.gpt.interleaving=parallel")
    sizes = "vocoder.codebook_sizes=[4,8]"  # the first has fewer codes than there are pitches
    assert run(store, folder, LEVELS, *streams, sizes, "stages=[tokenizer,lm,vocoder]") == 0
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    pitch = tokenizer.format.pitch
    assert pitch is not None
    assert (pitch.levels, tokenizer.format.streams) == (8, 5)  # two bands of two levels each, and the pitch
    assert 60 <= pitch.lowest < pitch.highest < 420
    coded = [read_codes(path.parent) for path in store.glob("codes/*/complete.json")]
    (clips,) = (clips for format, clips in coded if format == tokenizer.format)
    values = np.concatenate([clip.codes.values for clip in clips])
    assert len(np.unique(values[:, -1])) > 4
    model, vocoder = (
        part.from_pretrained(folder / name) for part, name in ((LanguageModel, "lm"), (Vocoder, "vocoder"))
    )
    more = model.generate(seconds=0.3)
    assert more.format == tokenizer.format
    assert len(vocoder.decode(more, tokenizer).samples) == more.num_samples


def measured_pitches(place: Path, *, voiced: int) -> Entry:
    """Measure the pitch of ten recordings of noise, of which some begin with as long a tone."""
    rng, time, clips = np.random.default_rng(0), np.arange(4000) / 4000, list[Clip]()
    for number in range(10):
        samples = rng.normal(0, 0.1, 8000)
        if number < voiced:
            samples[:4000] = sum(0.1 * np.sin(2 * np.pi * n * 150 * time) for n in range(1, 9))
        soundfile.write(place / f"{number}.wav", samples, 4000)
        clips.append(
            Clip(path=f"{number}.wav", num_samples=8000, sample_rate=4000, size=1, sha256=f"{number}", split="train")
        )
    settings = TokenizerSettings(pitch=PitchConfig(levels=8))
    return pitches(session_of(place), Manifest(root=place, clips=tuple(clips)), AUDIO, settings)


def test_recordings_without_a_voice_are_refused_with_their_share(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.0%") as caught:
        measured_pitches(tmp_path, voiced=0)
    assert caught.value.option == "tokenizer.pitch.levels"


@pytest.mark.parametrize(("voiced", "warned"), [(4, True), (10, False)])
def test_few_recordings_with_a_voice_are_told(
    voiced: int, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = float(str(measured_pitches(tmp_path, voiced=voiced).read_json(PITCHES)["voiced"]))
    assert share == pytest.approx(voiced / 20, abs=0.03)
    assert (f"{share:.0%}" in capsys.readouterr().err) == warned


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A run whose tokenizer, language model and vocoder have random weights, and whose codes have pitches."""
    model = save_run(tmp_path / "model", seed=0)
    plain = Tokenizer.from_pretrained(model / "tokenizer")
    config = replace(plain.config, pitch=PitchFormat(levels=8, lowest=80.0, highest=240.0))
    tokenizer = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, plain.centroids)
    tokenizer.save_pretrained(model / "tokenizer")
    gpt = replace(GPT, interleaving="parallel")
    LanguageModel.create(gpt, tokenizer.format, seed=0).save_pretrained(model / "lm")
    return model


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A recording of a voice of 150 Hz."""
    path, time = tmp_path / "in" / "voice.wav", np.arange(8000) / 4000
    path.parent.mkdir()
    soundfile.write(path, sum(0.1 * np.sin(2 * np.pi * n * 150 * time) for n in range(1, 9)), 4000)
    return path


def test_all_commands_take_codes_with_pitch(model: Path, voice: Path, tmp_path: Path) -> None:
    given = {"model": str(model), "device": "cpu"}
    recordings: dict[str, object] = {**given, "input": str(voice.parent), "workers": 1}
    tokenizer = Tokenizer.from_pretrained(model / "tokenizer")
    codes, own = tmp_path / "codes.parquet", tokenizer.encode_file(voice)
    encode({**recordings, "output": str(codes)})
    (clip,) = read_codes(codes)[1]
    np.testing.assert_array_equal(clip.codes.values, own.values)
    assert (own.values[5:-5, -1] > 0).all()
    with pytest.raises(InputError, match="stream"):
        encode({**recordings, "output": str(tmp_path / "units"), "format": "jsonl"})

    say: dict[str, object] = {**given, "prompt": str(voice), "seconds": 0.2, "num_samples": 1, "seed": 3}
    generate({**say, "output": str(tmp_path / "more")})
    (made,) = read_codes(tmp_path / "more/codes.parquet")[1]
    assert made.codes.format == own.format
    np.testing.assert_array_equal(made.codes.values[:50], own.values[:50])
    vocoder = Vocoder.from_pretrained(model / "vocoder")
    streamed = [piece.samples for piece in vocoder.stream([own.crop(0, 30), own.crop(30, 100)], tokenizer, Sampling())]
    np.testing.assert_array_equal(np.concatenate(streamed), vocoder.decode(own, tokenizer).samples)

    score({**given, "input": str(voice), "output": str(tmp_path / "scores.tsv"), "workers": 1})
    assert len((tmp_path / "scores.tsv").read_text().splitlines()) == 2
    for method in ("gpt", "bag_of_codes", "bottleneck"):
        embed({**recordings, "output": str(tmp_path / f"{method}.npz"), "method": method})
    for features in ("soft_codes", "states"):
        searched = {"query": str(voice), "output": str(tmp_path / f"{features}.json"), "features": features}
        find({**recordings, **searched})
        assert json.loads((tmp_path / f"{features}.json").read_text())[0]["score"] == pytest.approx(1, abs=1e-3)


def test_decode_gives_codes_another_melody(model: Path, voice: Path, tmp_path: Path) -> None:
    tokenizer, codes = Tokenizer.from_pretrained(model / "tokenizer"), tmp_path / "codes.parquet"
    write_shard(codes, [CodedClip(path="a.wav", codes=tokenizer.encode_file(voice))], tokenizer.format)
    save_run(tmp_path / "other", seed=0)
    given = {"model": str(model), "input": str(codes), "device": "cpu"}
    with pytest.raises(InputError, match="codebook"):
        decode({**given, "model": str(tmp_path / "other"), "output": str(tmp_path / "plain"), "shift": 2.0})
    changes: list[dict[str, object]] = [
        {},
        {"pitch": "flat"},
        {"pitch": "copied", "pitch_of": str(voice)},
        {"shift": 4.0},
    ]
    for number, change in enumerate(changes):
        decode({**given, **change, "output": str(tmp_path / f"{number}")})
    jobs = [json.loads((tmp_path / f"{number}" / JOB).read_text()) for number in range(len(changes))]
    assert jobs[0] == jobs[2]  # its own melody
    assert "shift" not in jobs[1]
    assert jobs[3] == {**jobs[0], "shift": 4.0}
    for wrong in ({"pitch": "copied"}, {"pitch_of": str(voice)}, {"shift": 25.0}, {"shift": 1.0, "pitch_comb": False}):
        with pytest.raises(InputError, match=r"pitch|shift"):
            decode({**given, **wrong, "output": str(tmp_path / "wrong")})
