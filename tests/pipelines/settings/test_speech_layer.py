"""Options of codes of a speech model: one line says what a run cannot do, before it reads anything."""

from pathlib import Path

import pytest

from pipelines.settings.run import RunSettings, run_settings
from tests.test_configs import composed
from tests.wordless.audio.speech_models.checkpoints import STRIDE, save_checkpoint
from wordless.base.errors import InputError

METHODS = "compare.methods=[log_mel,bag_of_codes,gpt,wav2vec2]"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, "hubert")
    return folder


def settings(weights: Path | str, *words: str) -> RunSettings:
    step = ("audio.hop_length=40", "tokenizer.patch.frames=2", METHODS)
    return run_settings(composed("tokenizer.features=wav2vec2", f"wav2vec2.weights='{weights}'", *step, *words))


def test_the_middle_layer_is_the_default(weights: Path) -> None:
    found = settings(weights).speech_layer
    assert found is not None
    assert (found.layer, found.width, found.folder) == (1, 32, weights)
    third = settings(weights, "tokenizer.feature_layer=3").speech_layer
    assert third is not None
    assert third.layer == 3


def test_the_autoencoder_has_no_layer() -> None:
    assert run_settings(composed()).speech_layer is None
    with pytest.raises(InputError, match=r"feature_layer\b.*\b6\b.*autoencoder"):
        run_settings(composed("tokenizer.feature_layer=6"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["wav2vec2.weights=null"], r"wav2vec2\.weights\b.*\bnull\b.*tokenizer\.features=wav2vec2\b"),
        (["tokenizer.feature_layer=4"], r"tokenizer\.feature_layer\b.*\b4\b.*HuBERT\b.*\b1\b.*\b3\b"),
        (["tokenizer.feature_layer=0"], r"tokenizer\.feature_layer\b.*\b0\b"),
        (["audio.sample_rate=8000", "audio.n_mels=40"], r"\b16000 Hz\b.*audio\.sample_rate\b.*\b8000\b"),
        (["tokenizer.patch.frames=4"], rf"\b{STRIDE} samples\b.*\b160\b.*patch\.frames=2\b"),
        (["audio.hop_length=64"], r"audio\.hop_length=40\b.*tokenizer\.patch\.frames=2\b"),
        (["tokenizer.rates=[4,2]"], r"tokenizer\.rates=\[4, 2\].*\bnull\b"),
        (["tokenizer.patch.mels=40"], "tokenizer.patch.mels=40"),
        (["tokenizer.max_formants=0.2"], "tokenizer.max_formants=0.2"),
        (["tokenizer.dynamic_ranges=[22,50]"], "tokenizer.dynamic_ranges"),
        (["lm.views.warps=2"], "lm.views.warps=2"),
        (["compare.hearings=3"], "compare.hearings=3"),
        (["compare.assignments=soft"], r"compare\.assignments=soft\b.*\bhard\b"),
        (["compare.methods=[gpt,bottleneck]"], r"compare\.methods\b.*\bbottleneck\b"),
        (["lm.views.warps=2", "compare.hearings=3"], r"lm\.views\.warps=2\b.*compare\.hearings=3\b"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], line: str, weights: Path) -> None:
    with pytest.raises(InputError, match=line):
        settings(weights, *words)


def test_a_folder_without_a_model_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json\b"):
        settings(tmp_path)
    (tmp_path / "config.json").write_bytes((weights / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match="pickle"):
        settings(tmp_path)
