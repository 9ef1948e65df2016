"""Every shipped config composes and is accepted, and every option can be given without a ``+``."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from hydra import initialize_config_module
from omegaconf import OmegaConf

from pipelines.commandline.composed_config import resolved
from pipelines.commands import COMMANDS
from pipelines.jobs.run_chain import rates
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import BACKBONES, METHODS
from pipelines.settings.run_settings import EMBEDDED, RunSettings
from tests.calling import completed, compose, index
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.base.options import METADATA, REQUIRED, Options, field_choices, require_in_range

CONF = Path(__file__).parents[1] / "conf"
SIZED = ("tokenizer", "lm", "vocoder", *BACKBONES, "next_sample")
FEW_STEPS = 100  # of a tiny training; that of the tokenizer has 300


def choices(group: str) -> list[str]:
    return sorted(index("run").groups[group].choices)


def composed(*words: str) -> dict[str, object]:
    with initialize_config_module("conf", version_base="1.3"):
        return completed("run", resolved(compose("run", overrides=list(words))))


def place(corpus: str) -> str:
    """The option that a corpus needs, which names its recordings."""
    tables = ("raven", "birdnet", "audacity")
    return f"corpus.{'dataset' if corpus == 'dataset' else 'table' if corpus in tables else 'root'}=here"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A speech model with the stride of large ones, for the experiment that needs one."""
    folder = tmp_path_factory.mktemp("weights")
    save_checkpoint(folder, "hubert-base", strides=[5, 8, 8])
    return folder


def pairs() -> list[ParameterSet]:
    """All corpora with all experiments; quick: each experiment once, so that every corpus has its turn."""
    corpora, experiments = choices("corpus"), choices("experiment")
    return [
        pytest.param(corpus, experiment, marks=() if (place - turn) % len(corpora) == 0 else pytest.mark.slow)
        for turn, corpus in enumerate(corpora)
        for place, experiment in enumerate(experiments)
    ]


@pytest.mark.parametrize(("corpus", "experiment"), pairs())
def test_every_corpus_goes_with_every_experiment(corpus: str, experiment: str, weights: Path) -> None:
    words = [f"corpus={corpus}", f"experiment={experiment}", *([place(corpus)] if corpus != "embedded" else [])]
    words += [f"wav2vec2.weights='{weights}'"] if experiment == "speech_layer" else []
    speaks = experiment in ("spoken_words", "spoken_sentences")
    words += ["unlabelled=embedded"] if speaks and corpus != "embedded" else []
    settings = run_settings(composed(*words))
    assert (settings.corpus.root == EMBEDDED) == (corpus == "embedded")


@pytest.mark.parametrize("rate", [8_000, 44_100, 384_000])
def test_a_second_of_sound_is_50_codes_at_every_rate(rate: int) -> None:
    settings = run_settings(composed(f"audio.sample_rate={rate}", "audio.n_mels=64"))
    per_code = settings.tokenizer.config(settings.audio).samples_per_code
    assert rate / per_code == 50
    assert settings.vocoder.wavenet.hop_length == settings.audio.hop_length
    codes = "hop 10 ms, 50 codes per second in 1 stream"
    assert rates(settings).endswith(f"{codes} and pitch (of recordings with voices)")
    both = run_settings(composed(f"audio.sample_rate={rate}", "audio.n_mels=64", "tokenizer.level=true"))
    assert f"{codes} and level and pitch" in rates(both)
    for words in ("tokenizer.pitch.levels=0", "tokenizer.rates=[4,2]"):
        assert rates(run_settings(composed(words))).endswith("stream")


@pytest.mark.parametrize("sizes", [*zip_longest(*map(choices, SIZED))], ids=str)
def test_every_size_is_accepted(sizes: tuple[str | None, ...]) -> None:
    """Each row of sizes together: composing takes longest."""
    run_settings(composed(*(f"{group}={size}" for group, size in zip(SIZED, sizes, strict=True) if size)))


@pytest.mark.parametrize("words", [("experiment=smoke",), ("lm=tiny", "baselines=tiny")], ids=str)
def test_no_method_stays_large_in_a_tiny_run(words: tuple[str, ...]) -> None:
    """Every method of the table: those of the GPT have its steps, and all others those of their backbone."""
    config = composed(*words)
    trained = [
        name for name in options(config) if name.partition(".")[0] in (*BACKBONES, "lm") and name.endswith(".steps")
    ]
    assert {name.partition(".")[0] for name in trained} == {*BACKBONES, "lm"}
    for name in trained:
        value: object = config
        for part in name.split("."):
            value = value[part]  # type: ignore[index]  # a mapping
        assert isinstance(value, int)
        assert value <= FEW_STEPS, name
    for method in METHODS.values():
        assert not method.backbone or "tiny" in choices(method.backbone), method.name


def test_a_choice_of_the_user_is_kept_beside_a_tiny_preset() -> None:
    sizes = composed("baselines=tiny", "denoising=small"), composed("denoising=small"), composed("experiment=smoke")
    given, small, smoke = (each["denoising"] for each in sizes)
    assert given == small != smoke


def options(values: dict[str, object], name: str = "") -> Iterator[str]:
    for key, value in values.items():
        place = f"{name}.{key}".lstrip(".")
        if isinstance(value, dict) and value:
            yield from options(value, place)
        else:
            yield place


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_of_every_command_can_be_given(command: str) -> None:
    """An option with the name of a config group would be taken for a choice of that group."""
    with initialize_config_module("conf", version_base="1.3"):
        config = compose(command)
        names = list(options(OmegaConf.to_container(config, resolve=False)))  # type: ignore[arg-type]  # a mapping
        given = compose(command, overrides=[f"{name}=given" for name in names])
    assert names
    assert {OmegaConf.select(given, name) for name in names} == {"given"}


MORE = CONF.parent / "tests/experiments"  # experiments of docs/log.md
AUTHORS = sorted(path.stem for path in (MORE / "experiment").glob("*.yaml"))


def ablations(experiment: str) -> list[str]:
    """Return the parts that an experiment takes away, one at a time."""
    sweeper = OmegaConf.select(OmegaConf.load(MORE / f"experiment/{experiment}.yaml"), "hydra.sweeper.params")
    return sweeper["+ablation"].split(",") if sweeper else []


@cache
def settings_of(experiment: str, *words: str) -> RunSettings:
    searched = f"hydra.searchpath=[file://{MORE}]"
    return run_settings(composed(searched, f"experiment={experiment}", "corpus.root=here", *words))


@pytest.mark.parametrize("experiment", AUTHORS)
def test_every_ablation_changes_its_experiment(experiment: str) -> None:
    for ablation in ablations(experiment):
        changed = settings_of(experiment, f"+ablation={ablation}")
        assert (changed == settings_of(experiment)) == (ablation == "none"), ablation


def test_every_ablation_is_swept_over_once() -> None:
    swept = [ablation for experiment in AUTHORS for ablation in ablations(experiment) if ablation != "none"]
    assert sorted([*swept, "none"]) == sorted(path.stem for path in (MORE / "ablation").glob("*.yaml"))


def test_every_default_is_in_its_range() -> None:
    """New instances check the values that are none of their defaults."""
    kinds, found = [Options], list[type]()
    while kinds:
        found.append(kind := kinds.pop())
        kinds += kind.__subclasses__()
    checked = 0
    for kind in filter(is_dataclass, found):
        for field in fields(kind):
            if METADATA in field.metadata and field.default not in (None, REQUIRED):
                require_in_range(field.name, field.default, field.metadata[METADATA], field_choices(kind)[field.name])
                checked += 1
    assert checked > len(index("run").options)
