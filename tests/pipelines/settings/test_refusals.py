"""Options of a run that there cannot be, or that do not go together: one line names them, and a remedy."""

from pathlib import Path

import pytest

from pipelines.settings.run_rules import run_settings
from tests.pipelines.tiny import SAMPLES
from tests.pipelines.tiny_chain import composed
from tests.test_configs import composed as full_config
from tests.wordless.audio.speech_models.checkpoints import STRIDE, save_checkpoint
from wordless.base.errors import InputError

RATES = ("tokenizer.rates=[8,2]", "compare.methods=[log_mel,bag_of_rate_1,gpt_of_rate_2]")
STAGE = (
    *(*RATES, "stages=[rates,probe,report]"),
    *("rates.seconds=0.5", "rates.prompt_seconds=0.2", "rates.window_seconds=0.1"),
)
ALONE = (*STAGE, "stages=[rates,report]")
TRANSFORMER = "next_sample.transformer_context"
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no divisor": (("tokenizer.rates=[8,3,2]",), r"tokenizer\.rates\b.*\[8, 3, 2\].*\b2\b.*\b4\b"),
    "one rate": (("tokenizer.rates=[2]",), r"tokenizer\.rates\b.*\[2\].*\b2\b.*\b4\b"),
    "five rates": (("tokenizer.rates=[32,16,8,4,2]",), r"tokenizer\.rates\b.*\b2\b.*\b4\b"),
    "fine before coarse": (("tokenizer.rates=[2,4]",), r"tokenizer\.rates\b.*multiple"),
    "other patches": (("tokenizer.rates=[8,4]",), r"tokenizer\.patch\.frames\b.*\b2\b.*tokenizer\.patch\.frames=4\b"),
    "too few layers": (("tokenizer.rates=[8,4,2]", "lm.gpt.layers=2"), r"lm\.gpt\.layers\b.*\b2\b.*\b3 rates\b"),
    "pitch, warps": (("lm.pitch=among", "lm.views.warps=1"), r"lm\.pitch\b.*warps"),
    "pitch, hearings": (("lm.pitch=among", "compare.hearings=2"), r"lm\.pitch\b.*hearings"),
    "pitch, soft codes": (("lm.pitch=among", "compare.assignments=soft"), r"lm\.pitch\b.*assignments"),
    "nothing": (("compare.methods=[]",), r"compare\.methods\b"),
    "no rates": ((*STAGE, "tokenizer.rates=null", "compare.methods=[gpt]"), r"stages\b.*tokenizer\.rates\b.*\bnull\b"),
    "rates, seeds": ((*STAGE, "seeds=2"), r"\bstage rates\b"),
    "part of a window": ((*STAGE, "rates.window_seconds=0.3"), r"rates\.window_seconds\b.*\b0\.3\b"),
    "short prompt": ((*STAGE, "rates.prompt_seconds=0.03"), r"rates\.prompt_seconds\b.*\b0\.08 s\b"),
    "rates, numbers": ((*ALONE, "corpus.label_type=number"), r"\bclasses\b"),
    "samples, folds": ((*SAMPLES, "compare.folds=group"), r"compare\.folds\b.*\bnext_sample\b"),
    "long crop": (("stages=[next_sample,report]", "next_sample.crops.samples=70000"), r"crops\.samples\b.*\b64740\b"),
    "no context": ((*SAMPLES, f"{TRANSFORMER}.context=null"), r"next_sample\.transformer_context\.context\b"),
    "no condition": (("vocoder.wavenet.condition=none",), r"vocoder\.wavenet\.condition\b"),
    "large seeds": (("seed=4294967295", "seeds=2", "stages=[tokenizer,lm]"), r"seed . seeds\b.*\b4294967296\b"),
    "seeds of sounds": (("seeds=2",), r"^seeds\b.*\b2\b"),
    "folds of sounds": (("compare.folds=group",), r"^compare\.folds\b.*\bgroup\b"),
    "own name": (("compare.features={gpt: x.npz}",), r"compare\.features\b.*\bgpt\b"),
    "odd name": (("compare.features={a b: x.npz}",), r"compare\.features\b.*'a b'"),
    "missing file": (("compare.features={mine: gone.npz}",), r"gone\.npz\b"),
    "no features": (("compare.features={mine: setup.py}",), r"setup\.py\b"),
    "a list": (("compare.features=[x.npz]",), r"compare\.features\b.*\bgroup\b"),
    "no stage": (("stages=[tokenizer,gpt]",), r"stages\[1\] is gpt\b.*\blm, .*\btokenizer\b"),
    "more codes than patches": (
        ("tokenizer.codebook_size=501",),
        r"codebook_size\b.*\b501\b.*sample_patches\b.*\b500\b",
    ),
    "AST's weights": (("compare.methods=[ast]", "ast.model.weights=nowhere"), r"weights=nowhere\b.*config\.json\b"),
    "labels of a corpus": (("corpus.labels=none",), r"corpus\.labels=none\b.*corpus\.root\b.*corpus\.table\b"),
    "pattern of a corpus": (("corpus.pattern='{label}.wav'",), r"corpus\.pattern=\{label\}\.wav.*corpus\.root\b"),
    "column of a corpus": (("corpus.columns.group=speaker",), "corpus.columns.group=speaker"),
    "rates, soft codes": (("tokenizer.rates=[4,2]", "compare.assignments=soft"), r"\brates\b.*\bhard\b"),
    "context": (("tokenizer.patch.mels=4", "lm.gpt.context=10"), r"lm\.gpt\.context\b.*\b10\b.*\b10 positions\b"),
    "wav2vec2's input": (
        ("compare.methods=[log_mel,wav2vec2]", "compare.layers=[last,together]", "compare.input=true"),
        r"compare\.input\b.*\bwav2vec2\b.*\bfalse\b",
    ),
}


@pytest.mark.parametrize(("words", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_options_that_do_not_go_together_are_refused_in_one_line(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        run_settings(composed(tmp_path, *words))
    assert "\n" not in str(refused.value)


def test_what_is_not_compared_is_not_judged(tmp_path: Path) -> None:
    settings = run_settings(composed(tmp_path, "compare.methods=[gpt]", "ast.model.weights=nowhere"))
    assert settings.ast.model.weights == "nowhere"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, "hubert")
    return folder


OF_SPEECH = (
    *("tokenizer.features=wav2vec2", "audio.hop_length=40", "tokenizer.patch.frames=2"),
    "compare.methods=[log_mel,bag_of_codes,gpt,wav2vec2]",
)


def test_the_middle_layer_of_a_speech_model_is_the_default(weights: Path) -> None:
    words = (*OF_SPEECH, f"wav2vec2.weights='{weights}'")
    found = run_settings(full_config(*words)).speech_layer
    assert found is not None
    assert (found.layer, found.width, found.folder) == (1, 32, weights)
    third = run_settings(full_config(*words, "tokenizer.feature_layer=3")).speech_layer
    assert third is not None
    assert third.layer == 3
    assert run_settings(full_config()).speech_layer is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wav2vec2.weights=null"], r"wav2vec2\.weights\b.*\bnull\b.*tokenizer\.features=wav2vec2\b"),
        (["tokenizer.feature_layer=4"], r"tokenizer\.feature_layer\b.*\b4\b.*HuBERT\b.*\b1\b.*\b3\b"),
        (["audio.sample_rate=8000", "audio.n_mels=40"], r"\b16000 Hz\b.*audio\.sample_rate\b.*\b8000\b"),
        (["tokenizer.patch.frames=4"], rf"\b{STRIDE} samples\b.*\b160\b.*patch\.frames=2\b"),
        (["tokenizer.rates=[4,2]"], r"tokenizer\.rates=\[4, 2\].*\bnull\b"),
        (["tokenizer.patch.mels=40"], "tokenizer.patch.mels=40"),
        (["tokenizer.dynamic_ranges=[22,50]"], "tokenizer.dynamic_ranges"),
        (["lm.views.warps=2", "compare.hearings=3"], r"lm\.views\.warps=2\b.*compare\.hearings=3\b"),
        (["compare.assignments=soft"], r"compare\.assignments=soft\b.*\bhard\b"),
        (["compare.methods=[gpt,bottleneck]"], r"compare\.methods\b.*\bbottleneck\b"),
    ],
)
def test_what_codes_of_a_speech_model_cannot_have_is_refused(words: list[str], told: str, weights: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_settings(full_config(*OF_SPEECH, f"wav2vec2.weights='{weights}'", *words))
