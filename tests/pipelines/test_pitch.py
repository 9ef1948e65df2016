"""A run whose codes have a stream of pitch: what its models do with it, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import OWN, called_at_once, composed, refusal, run
from tokenizer.parquet import read_codes
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
