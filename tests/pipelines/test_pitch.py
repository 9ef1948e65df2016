"""A run whose codes have a stream of pitch: what its models do with it, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.decode import decode
from pipelines.settings.run import run_settings
from pipelines.store.work_folder import JOB
from tests.pipelines.tiny import save_run
from tests.pipelines.tiny_chain import OWN, called_at_once, composed, refusal, run
from tokenizer.codes import PitchFormat
from tokenizer.parquet import CodedClip, read_codes, write_shard
from tokenizer.tokenizer import Tokenizer
from vocoder.vocoder import Vocoder
from wordless.base.errors import InputError

LEVELS = "tokenizer.pitch.levels=8"


@pytest.mark.slow
def test_codes_language_model_and_vocoder_have_the_pitch(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "run"
    assert run(store, folder, LEVELS, "stages=[tokenizer,lm,vocoder]", "lm.gpt.interleaving=parallel") == 0
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    pitch = tokenizer.format.pitch
    assert pitch is not None
    assert (pitch.levels, tokenizer.format.streams) == (8, 2)
    assert 60 <= pitch.lowest < pitch.highest < 420
    (codes,) = store.glob("codes/*/complete.json")
    format, clips = read_codes(codes.parent)
    assert format == tokenizer.format
    values = np.concatenate([clip.codes.values for clip in clips])
    assert len(np.unique(values[:, 1])) > 4
    model, vocoder = (
        part.from_pretrained(folder / name) for part, name in ((LanguageModel, "lm"), (Vocoder, "vocoder"))
    )
    more = model.generate(seconds=0.3)
    assert more.format == format
    assert len(vocoder.decode(more, tokenizer).samples) == more.num_samples


def test_recordings_without_a_voice_are_refused_with_their_share(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "noise" / f"{number % 2}_{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, noise.normal(0, 0.1, 4000), 8000)
    corpus = ("corpus=folder", f"corpus.root={tmp_path / 'noise'}", "corpus.labels=none")
    words = (*OWN, *corpus, LEVELS, "stages=[tokenizer]", f"store.root={tmp_path / 'store'}")
    line = refusal(called_at_once(tmp_path / "place", *words))
    assert "tokenizer.pitch.levels" in line
    assert "0.0%" in line


def test_decode_gives_codes_another_melody(tmp_path: Path) -> None:
    model = save_run(tmp_path / "model", seed=0)
    plain = Tokenizer.from_pretrained(model / "tokenizer")
    config = replace(plain.config, pitch=PitchFormat(levels=8, lowest=80.0, highest=240.0))
    tokenizer = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, plain.centroids)
    voice, codes = tmp_path / "voice.wav", tmp_path / "codes.parquet"
    time = np.arange(2000) / 4000
    soundfile.write(voice, sum(0.1 * np.sin(2 * np.pi * n * 150 * time) for n in range(1, 9)), 4000)
    write_shard(codes, [CodedClip(path="a.wav", codes=tokenizer.encode_file(voice))], tokenizer.format)
    given = {"model": str(model), "input": str(codes), "device": "cpu"}
    with pytest.raises(InputError, match="codebook"):
        decode({**given, "output": str(tmp_path / "plain"), "shift": 2.0})
    tokenizer.save_pretrained(model / "tokenizer")
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


@pytest.mark.parametrize(
    "words",
    [
        ("tokenizer.rates=[4,2]",),
        ("audio.sample_rate=2000", "audio.n_mels=20"),
        ("lm.views.warps=1",),
        ("compare.hearings=2",),
        ("compare.assignments=soft",),
        ("tokenizer.pitch.levels=9",),
    ],
)
def test_options_that_have_no_samples_with_pitch_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pitch\.levels"):
        run_settings(composed(tmp_path, LEVELS, *words))
