"""Options of codes of a speech model: one line says what a run cannot do, before it reads anything."""

from pathlib import Path

import pytest

from foundation.errors import InputError
from pipelines.settings.run import RunSettings, run_settings
from tests.audio.speech_models.checkpoints import STRIDE, save_checkpoint
from tests.test_configs import composed

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
    with pytest.raises(InputError, match="feature_layer is 6, and codes are made by the autoencoder"):
        run_settings(composed("tokenizer.feature_layer=6"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["wav2vec2.weights=null"], "wav2vec2.weights is null, and tokenizer.features=wav2vec2 reads a layer"),
        (["tokenizer.feature_layer=4"], "tokenizer.feature_layer is 4, and the HuBERT model in .* has layers 1 to 3"),
        (["tokenizer.feature_layer=0"], "tokenizer.feature_layer is 0"),
        (["audio.sample_rate=8000", "audio.n_mels=40"], "was trained at 16000 Hz, and audio.sample_rate is 8000"),
        (["tokenizer.patch.frames=4"], f"a state for each {STRIDE} samples, and codes have 160 .*patch.frames=2"),
        (["audio.hop_length=64"], "set audio.hop_length=40 tokenizer.patch.frames=2"),
        (["tokenizer.rates=[4,2]"], r"tokenizer.rates=\[4, 2\] .use null: a model has states at one rate"),
        (["tokenizer.patch.mels=40"], "tokenizer.patch.mels=40"),
        (["tokenizer.max_formants=0.2"], "tokenizer.max_formants=0.2"),
        (["tokenizer.dynamic_ranges=[22,50]"], "tokenizer.dynamic_ranges"),
        (["lm.views.warps=2"], "lm.views.warps=2"),
        (["compare.hearings=3"], "compare.hearings=3"),
        (["compare.assignments=soft"], "compare.assignments=soft .use hard"),
        (["compare.methods=[gpt,bottleneck]"], "compare.methods with bottleneck .leave out"),
        (["lm.views.warps=2", "compare.hearings=3"], "lm.views.warps=2 .* and compare.hearings=3"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], line: str, weights: Path) -> None:
    with pytest.raises(InputError, match=line):
        settings(weights, *words)


def test_a_folder_without_a_model_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no config\.json that can be read"):
        settings(tmp_path)
    (tmp_path / "config.json").write_bytes((weights / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match="holds pickled weights alone"):
        settings(tmp_path)
