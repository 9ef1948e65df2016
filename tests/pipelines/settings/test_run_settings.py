"""The settings of a run: seeds, folds, what the corpus decides, and options that cannot be or do not go together."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.backbones.denoising_backbone import DenoisingSettings
from pipelines.commandline.command_words import prepare
from pipelines.jobs.run_rules import run_settings
from pipelines.settings.run_settings import ComparisonConfig, RunSettings, with_choices
from pipelines.stages.stage_options import LanguageModelSettings, VocoderSettings
from pipelines.store.stage import argument_key
from tests.calling import index
from tests.pipelines.tiny import SAMPLES
from tests.pipelines.tiny_chain import ROOT, composed, config_of
from tests.wordless.audio.speech_models.checkpoints import STRIDE, save_checkpoint
from vocoder.vocoder_options import WaveNetConfig
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.base.messages import InputError

KEPT = ("corpus", "embedded", "probe", "listening", "plugins.rates", "plugins.zerospeech")


def seeds(values: Mapping[str, object], place: str = "") -> Iterator[tuple[str, int]]:
    """Each option that is called seed, and its value."""
    for name, value in values.items():
        if name == "seed" and isinstance(value, int):
            yield f"{place}seed", value
        elif isinstance(value, Mapping):
            yield from seeds(value, f"{place}{name}.")


@pytest.mark.parametrize(
    ("seconds", "patch_seconds", "patches"), [(0.16, 0.02, 8), (0.16, 0.08, 2), (0.17, 0.02, 8), (0.001, 0.02, 1)]
)
def test_a_window_has_the_nearest_number_of_whole_patches(seconds: float, patch_seconds: float, patches: int) -> None:
    assert DenoisingSettings(window_seconds=seconds).window_patches(patch_seconds) == patches


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    return run_settings(composed(tmp_path, "seed=1", "seeds=3", "stages=[lm,probe]"))


def test_another_seed_moves_every_training_and_no_division(settings: RunSettings) -> None:
    plain, moved = dict(seeds(asdict(settings))), dict(seeds(asdict(settings.with_seed(2))))
    assert {"seed", "lm.fit.seed", "lm.batches.seed", "vocoder.crops.seed", "corpus.split.seed"} <= set(plain)
    assert moved == {place: seed + 2 * (not place.startswith(KEPT)) for place, seed in plain.items()}
    assert settings.with_seed(2).lm.fit.steps == settings.lm.fit.steps
    assert dict(seeds(asdict(settings.with_seed(0)))) == dict(seeds(asdict(settings)))


SENTENCES, OTHERS = (2e-3, "codes", 4), (1e-3, "probe", 6)  # learning rate, judge and clips of the report


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("", False),
        ("embedded.words=3", False),
        ("tokenizer.level=true", True),
        ("corpus.root=x", True),
        ("corpus.table=x", True),
        ("corpus.dataset=x unlabelled=embedded", True),
        ("corpus.root=x tokenizer.patch.mels=40 tokenizer.decoder=null", True),
        ("corpus.root=x tokenizer.level=false", False),
        ("corpus.root=x tokenizer.rates=[8,4,2]", False),
        ("corpus.root=x tokenizer.start=y", False),
        ("corpus.root=x tokenizer.features=wav2vec2", False),
        ("corpus.root=x audio.dynamic_range=40", False),
        ("corpus.root=x audio.remove_mean=running", False),
        ("experiment=wake_words corpus.root=x", False),
        ("experiment=fsdd_official corpus.root=x", False),  # its figures were made without
    ],
)
def test_codes_of_your_own_recordings_follow_their_level(words: str, *, level: bool) -> None:
    chosen = with_choices(config_of("run", *words.split()))["tokenizer"]
    assert chosen["level"] is level


@pytest.mark.parametrize(
    ("words", "chosen", "steps", "tested"),
    [
        ("", SENTENCES, 0, True),
        ("lm.fit.lr=3e-3 listening.evaluator=supervised listening.clips=9", (3e-3, "supervised", 9), 0, True),
        ("vocoder.start=null", SENTENCES, 300, True),
        ("embedded.voices=41", SENTENCES, 0, False),  # the test needs 12 voices that are not trained on
        ("embedded.voices=50 zerospeech.voices=2", SENTENCES, 0, True),
        ("zerospeech.voices=20", SENTENCES, 0, True),
        # it would need a GPT of one rate beside the others
        ("tokenizer.rates=[8,4,2] lm.gpt.layers=3", SENTENCES, 0, False),
        ("embedded.label=speed", OTHERS, 0, False),  # words, which vary more
        ("embedded.words=3", OTHERS, 0, False),
        ("corpus.root=x", OTHERS, 300, False),
        ("corpus.root=x unlabelled=embedded", OTHERS, 300, False),
        ("corpus.root=x vocoder.fit.steps=0", OTHERS, 0, False),
        ("corpus.root=x audio.sample_rate=24000", OTHERS, 300, False),
        ("corpus.table=x", OTHERS, 300, False),
        ("corpus.dataset=x", OTHERS, 300, False),
        ("experiment=codebook_sweep", OTHERS, 300, False),  # of words, without a vocoder
        ("experiment=spoken_sentences", (1e-3, "codes", 4), 300, True),  # it names its learning rate
    ],
)
def test_what_was_measured_on_the_sentences_holds_for_them_alone(
    words: str, chosen: tuple[float, str, int], steps: int, tested: bool
) -> None:
    """They also test word order, and built-in voices need no training of the voice that ships."""
    config = config_of("run", *words.split())
    settings = run_settings(config)
    assert (settings.lm.fit.lr, settings.listening.evaluator, settings.listening.clips) == chosen
    assert with_choices(config)["lm"]["fit"]["lr"] == chosen[0]  # type: ignore[index]  # recorded
    assert ("zerospeech" in settings.stages) == tested
    if "experiment" not in words:
        stages = [stage for stage in settings.stages if stage != "zerospeech"]
        assert stages == ["tokenizer", "lm", "probe", "vocoder", "report", "codes"]
    unfit = any(word in words for word in ("experiment", "sample_rate", "vocoder.start"))
    assert (settings.vocoder.fit.steps, settings.vocoder.start is None) == (steps, unfit)


FOLLOWING = ("lm", "tokenizer", "vocoder", "denoising", "baselines.simclr", "baselines.supervised")


def recordings(hours: float, seconds: float) -> Clips:
    count = round(3600 * hours / seconds)
    about = {"num_samples": round(1000 * seconds), "sample_rate": 1000, "size": 1, "split": "train"}
    return Clips.from_rows(Path("here"), (Clip(path=f"{n}.wav", sha256=f"{n}", **about) for n in range(count)))


def steps_of(settings: RunSettings) -> dict[str, int]:
    return {name: attrgetter(f"{name}.fit.steps")(settings) for name in FOLLOWING}


USUAL_STEPS = dict(zip(FOLLOWING, (300, 2000, 300, 1500, 250, 300), strict=True))


def test_steps_follow_from_the_recordings_unless_they_are_given() -> None:
    settings = run_settings(config_of("run", "corpus.root=x"))
    # The built-in corpus has 1,280 training clips of 1.8 s on average, and at most 39.4 minutes with another split.
    assert steps_of(settings.with_recordings(recordings(2301.2 / 3600, 1.7978))) == USUAL_STEPS
    assert steps_of(settings.with_recordings(recordings(2362.5 / 3600, 1.83))) == USUAL_STEPS
    large = steps_of(settings.with_recordings(recordings(4.8, 37.0)))
    assert (large["lm"], large["vocoder"]) == pytest.approx((7.2 * 300,) * 2, rel=0.001)
    assert large["denoising"] == pytest.approx(7.2 * 1500 * 1.81 / 3.0, rel=0.01)  # a step reads 3 s of each clip
    assert {
        name for name, steps in steps_of(settings.with_recordings(recordings(400, 60.0))).items() if steps == 20_000
    } == {*FOLLOWING} - {"tokenizer"}
    other = steps_of(settings.with_recordings(recordings(2 / 3, 1.81), [recordings(4 / 3, 1.81)]))
    more = {"lm": 900, "denoising": 4500, "baselines.simclr": 750}
    assert other == pytest.approx({**USUAL_STEPS, **more}, rel=0.01)


def test_short_clips_take_the_least_steps_until_there_is_more_sound_than_usual() -> None:
    """In half an hour of half seconds a step of clips reads less sound than usual."""
    settings = run_settings(config_of("run", "corpus.root=x"))
    few = settings.with_recordings(recordings(0.5, 0.5))
    assert steps_of(few) == USUAL_STEPS
    assert {few.denoising.fit.patience, few.baselines.simclr.fit.patience} == {None}
    many = steps_of(settings.with_recordings(recordings(4 / 3, 0.905)))
    assert many["lm"] == pytest.approx(600, rel=0.01)
    assert many["baselines.simclr"] == pytest.approx(2 * 250, rel=0.01)


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ("", 2000),  # the sample of 200,000 patches is full with 33 minutes, as with the built-in corpus
        ("tokenizer.sample_patches=480000", 4000),  # 80 minutes
        ("tokenizer.sample_patches=10000000", 14_400),  # more than there are
    ],
)
def test_the_autoencoder_reads_its_sample_as_often_however_many_recordings_there_are(words: str, steps: int) -> None:
    settings = run_settings(config_of("run", "corpus.root=x", "audio.hop_ms=10", *words.split()))
    found = settings.with_recordings(recordings(4.8, 10.0)).tokenizer.fit.steps
    assert found == pytest.approx(steps, rel=0.001)


def test_given_steps_are_taken_and_larger_batches_need_fewer() -> None:
    words = [f"{name}.fit.steps=7" for name in FOLLOWING]
    given_steps = run_settings(config_of("run", "corpus.root=x", *words)).with_recordings(recordings(48, 5.0))
    assert {*steps_of(given_steps).values()} == {7}
    assert given_steps.lm.fit.patience is None
    settings = run_settings(config_of("run", "corpus.root=x", "lm.batch_tokens=8192")).with_recordings(
        recordings(8, 5.0)
    )
    assert settings.lm.fit.steps == 900
    assert (settings.vocoder.fit.patience, settings.lm.fit.patience) == (10, None)  # 36 validations, and 9


def test_steps_that_are_not_known_yet_are_in_no_key() -> None:
    read = set[str]()
    own = replace(LanguageModelSettings().fit, precision="fp32")
    key = argument_key(own, read)
    assert argument_key(replace(own, patience=3), read) == {**key, "patience": 3}
    with pytest.raises(ValueError, match="followed"):
        argument_key(replace(own, follows=True), read)


GROUPS = ("a", "b", "c", "d")


def clip(group: str, number: int, fold: str | None = None) -> Clip:
    path = f"{group}{number}.wav"
    return Clip(path=path, num_samples=100, sample_rate=100, size=200, sha256="", label="x", group=group, fold=fold)


MANIFEST = Clips.from_rows(Path("here"), (clip(group, number) for group in GROUPS for number in range(2)))


def config(**changes: Any) -> ComparisonConfig:
    return ComparisonConfig(**{"methods": ("gpt",), "folds": "group", "states": ("residual",), **changes})


def test_each_group_is_held_out_once_and_quick_comparisons_take_two_folds() -> None:
    folds, quick = (config().divide(MANIFEST, quick=quick) for quick in (False, True))
    assert [fold.name for fold in folds] == list(GROUPS)
    assert all({each.group for each in fold.of("test")} == {fold.name} for fold in folds)
    assert (len(quick), all(fold in folds for fold in quick)) == (2, True)
    assert [*config(folds=None).divide(MANIFEST, quick=False)] == [MANIFEST]


@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=20),
    st.integers(3, 20),
    st.integers(0, 5),
    st.booleans(),
)
def test_a_number_of_folds_divides_whole_groups_evenly(
    sizes: list[int], number: int, seed: int, labelled: bool
) -> None:
    rows = [(f"p{group}", clip) for group, count in enumerate(sizes) for clip in range(count)]
    manifest = Clips.from_rows(Path("here"), (clip(group, number) for group, number in rows))
    manifest = manifest if labelled else manifest.with_columns(label=None)
    if number > len(sizes):
        with pytest.raises(InputError, match=rf"compare\.folds is {number}; .*\b{len(sizes)} groups: choose 3 to "):
            config(folds=number).divide(manifest, quick=False, seed=seed)
        return
    folds = config(folds=number).divide(manifest, quick=False, seed=seed)
    assert folds == config(folds=number).divide(manifest, quick=False, seed=seed)
    groups = [{each.group for each in fold.of("test")} for fold in folds]
    assert sorted(group for each in groups for group in each) == sorted({group for group, _ in rows})
    assert len({fold.name for fold in folds}) == len(folds) == number
    clips = [len(fold.of("test")) for fold in folds]
    assert max(clips) - min(clips) <= max(sizes)  # one group more or less
    for place, fold in enumerate(folds):
        assert {each.group for each in fold.of("validation")} == groups[(place + 1) % number]
        assert len(fold.clips) == len(rows)
    quick = config(folds=number).divide(manifest, quick=True, seed=seed)
    assert [*quick] == [folds[0], folds[number // 2]]


def test_the_seed_draws_who_is_tested_together_and_two_folds_are_too_few() -> None:
    manifest = Clips.from_rows(Path("here"), (clip(f"p{number}", 0) for number in range(24)))

    def drawn(seed: int) -> list[list[str]]:
        folds = config(folds=4).divide(manifest, quick=False, seed=seed)
        return [[str(each.group) for each in fold.of("test")] for fold in folds]

    assert [*map(len, drawn(0))] == [6, 6, 6, 6]
    assert len({str(drawn(seed)) for seed in range(5)}) == 5
    for number in (2, 0, -1, 25):
        with pytest.raises(InputError, match=rf"compare\.folds is {number}; .*\b24 groups: choose 3 to 24\b"):
            config(folds=number).divide(manifest, quick=False)


def test_a_group_that_given_folds_cut_is_refused_unless_allowed() -> None:
    clips = tuple(clip(group, number, fold=str(number)) for group in GROUPS for number in range(3))
    cut = Clips.from_rows(Path("here"), clips)
    with pytest.raises(InputError, match=r"group 'a'.*\bsplits\b.*corpus\.split\.shared_groups=true\b"):
        config(folds="fold").divide(cut, quick=False)
    allowed = config(folds="fold").divide(cut, quick=False, shared_groups=True)
    assert [fold.name for fold in allowed] == ["0", "1", "2"]
    whole = Clips.from_rows(cut.root, (clip(group, 0, fold=group) for group in GROUPS))
    assert [fold.name for fold in config(folds="fold").divide(whole, quick=False)] == list(GROUPS)


MACHINES = 2  # in the script for Slurm


def documented() -> list[tuple[int, list[str]]]:
    """The processes and the options of each line with torchrun in the documents."""
    pages = [ROOT / "docs" / name for name in ("scale.md", "guide.md")]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ").replace('"$SLURM_NNODES"', str(MACHINES))
    lines = re.findall(r"^(?:srun )?torchrun .*-m pipelines\.run.*", text, re.MULTILINE)
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        launcher, options = words[: words.index("pipelines.run")], words[words.index("pipelines.run") + 1 :]
        counts = dict(word.lstrip("-").split("=", 1) for word in launcher if "=" in word)
        found.append((int(counts.get("nnodes", 1)) * int(counts["nproc-per-node"]), options))
    return found


@pytest.mark.parametrize(("name", "value"), [("cycles", 0), ("condition_layers", 0), ("condition_layers", 2**31)])
def test_a_saved_wavenet_that_cannot_be_is_refused_before_it_is_made(name: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"^`?{name}`? is {value}\b"):
        WaveNetConfig(**{name: value})  # type: ignore[arg-type]  # each is a number


def test_a_vocoder_that_reads_no_codes_is_refused() -> None:
    with pytest.raises(InputError, match=r"wavenet\.condition\b"):
        VocoderSettings(wavenet=WaveNetConfig(condition="none"))


@pytest.mark.parametrize(("processes", "options"), documented())
def test_lines_of_the_documents_suit_their_number_of_processes(processes: int, options: list[str]) -> None:
    settings = run_settings(config_of("run", *prepare(options, index("run")).overrides))
    assert settings.trains_lm
    for batches, fit in ((settings.lm.batches, settings.lm.fit), (settings.vocoder.crops, settings.vocoder.fit)):
        assert batches.batch_size % (processes * fit.accumulation) == 0


RATES = ("tokenizer.rates=[8,2]", "compare.methods=[log_mel,bag_of_rate_1,gpt_of_rate_2]")
STAGE = (
    *(*RATES, "stages=[rates,probe,report]"),
    *("rates.seconds=0.5", "rates.prompt_seconds=0.2", "rates.window_seconds=0.1"),
)
ALONE = (*STAGE, "stages=[rates,report]")
TRANSFORMER = "next_sample.transformer_context"
REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("tokenizer.rates=[8,3,2]",), r"tokenizer\.rates\b.*\[8, 3, 2\].*\b2\b.*\b4\b"),
    (("tokenizer.rates=[2]",), r"tokenizer\.rates\b.*\[2\].*\b2\b.*\b4\b"),
    (("tokenizer.rates=[32,16,8,4,2]",), r"tokenizer\.rates\b.*\b2\b.*\b4\b"),
    (("tokenizer.rates=[2,4]",), r"tokenizer\.rates\b.*multiple"),
    (("tokenizer.rates=[8,4]",), r"tokenizer\.patch\.frames\b.*\b2\b.*tokenizer\.patch\.frames=4\b"),
    (("tokenizer.rates=[8,4,2]", "lm.gpt.layers=2"), r"lm\.gpt\.layers\b.*\b2\b.*\b3 rates\b"),
    (("compare.methods=[]",), r"compare\.methods\b"),
    ((*STAGE, "tokenizer.rates=null", "compare.methods=[gpt]"), r"stages\b.*tokenizer\.rates\b.*\bnull\b"),
    ((*STAGE, "seeds=2"), r"\bstage rates\b"),
    ((*STAGE, "rates.window_seconds=0.3"), r"rates\.window_seconds\b.*\b0\.3\b"),
    ((*STAGE, "rates.prompt_seconds=0.03"), r"rates\.prompt_seconds\b.*\b0\.08 s\b"),
    ((*ALONE, "corpus.label_type=number"), r"\bclasses\b"),
    ((*SAMPLES, "compare.folds=group"), r"compare\.folds\b.*\bnext_sample\b"),
    (("stages=[next_sample,report]", "next_sample.crops.samples=70000"), r"crops\.samples\b.*\b64740\b"),
    ((*SAMPLES, f"{TRANSFORMER}.context=null"), r"next_sample\.transformer_context\.context\b"),
    (("seed=4294967295", "seeds=2", "stages=[tokenizer,lm]"), r"seed . seeds\b.*\b4294967296\b"),
    (("seeds=2",), r"^seeds\b.*\b2\b"),
    (("compare.folds=group",), r"^compare\.folds\b.*\bgroup\b"),
    (("compare.features={gpt: x.npz}",), r"compare\.features\b.*\bgpt\b"),
    (("compare.features={a b: x.npz}",), r"compare\.features\b.*'a b'"),
    (("compare.features={mine: gone.npz}",), r"gone\.npz\b"),
    (("compare.noise=pink", "compare.noise_snr=[20]"), r"^compare\.noise is pink\b.*\bwhite, babble\b"),
    (("compare.noise=[babble,tests]", "compare.noise_snr=[20]"), r"\.noise is tests\b.*\bno recordings\b"),
    (("compare.noise=[white,babble]",), r"^compare\.noise\b.*compare\.noise_snr\b"),
    (("compare.methods=[gpt+gpt]",), r"^compare\.methods\b.*\bonce\b"),
    (("compare.noise=[white,babble,white]", "compare.noise_snr=[20]"), r"^compare\.noise\b.*\bonce\b"),
    (("compare.features=[x.npz]",), r"compare\.features\b.*\bgroup\b"),
    (("stages=[tokenizer,gpt]",), r"stages\b.*\bgpt\b.*\blm, .*\btokenizer\b"),
    (("tokenizer.codebook_size=501",), r"codebook_size\b.*\b501\b.*sample_patches\b.*\b500\b"),
    (("compare.methods=[ast]", "ast.model.weights=nowhere"), r"weights=nowhere\b.*config\.json\b"),
    (("corpus.pattern='{label}.wav'",), r"corpus\.pattern=\{label\}\.wav.*corpus\.root\b"),
    (("corpus.columns.group=speaker",), "corpus.columns.group=speaker"),
    *(
        (("tokenizer.level=true", other), rf"tokenizer\.level=true\b.*{re.escape(other)}.*level=false")
        for other in (
            "tokenizer.start=x",
            "tokenizer.rates=[4, 2]",
            "audio.dynamic_range=40.0",
            "audio.remove_mean=clip",
        )
    ),
    (("tokenizer.patch.mels=4", "lm.gpt.context=10"), r"lm\.gpt\.context\b.*\b10\b.*\b10 positions\b"),
    (
        ("compare.methods=[log_mel,wav2vec2]", "compare.layers=[last,together]", "compare.input=true"),
        r"compare\.input\b.*\bwav2vec2\b.*\bfalse\b",
    ),
]


@pytest.mark.parametrize(("words", "told"), REFUSED)
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
    found = run_settings(config_of("run", *words)).speech_layer
    assert found is not None
    assert (found.layer, found.width, found.folder) == (1, 32, weights)
    third = run_settings(config_of("run", *words, "tokenizer.feature_layer=3")).speech_layer
    assert third is not None
    assert third.layer == 3
    assert run_settings(config_of("run")).speech_layer is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wav2vec2.weights=null"], r"wav2vec2\.weights\b.*\bnull\b.*tokenizer\.features=wav2vec2\b"),
        (["tokenizer.feature_layer=4"], r"tokenizer\.feature_layer\b.*\b4\b.*HuBERT\b.*\b1\b.*\b3\b"),
        (["audio.sample_rate=8000", "audio.n_mels=40"], r"\b16000 Hz\b.*audio\.sample_rate\b.*\b8000\b"),
        (["tokenizer.patch.frames=4"], rf"\b{STRIDE} samples\b.*\b160\b.*patch\.frames=2\b"),
        (["tokenizer.level=true"], r"tokenizer\.level=true\b.*tokenizer\.features=wav2vec2\b.*level=false"),
        (["tokenizer.rates=[4,2]"], r"tokenizer\.rates=\[4, 2\].*\bnull\b"),
        (["tokenizer.patch.mels=40"], "tokenizer.patch.mels=40"),
        (["tokenizer.views.dynamic_ranges=[22,50]"], "tokenizer.views.dynamic_ranges"),
        (
            ["lm.views.warps=2", "compare.test_time_augmentation=3"],
            r"lm\.views\.warps=2\b.*compare\.test_time_augmentation=3\b",
        ),
        (["compare.methods=[gpt,bottleneck]"], r"compare\.methods\b.*\bbottleneck\b"),
    ],
)
def test_what_codes_of_a_speech_model_cannot_have_is_refused(words: list[str], told: str, weights: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_settings(config_of("run", *OF_SPEECH, f"wav2vec2.weights='{weights}'", *words))
