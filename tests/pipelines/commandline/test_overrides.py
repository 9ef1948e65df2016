"""Quoting, against Hydra's own parser, and typed options that change nothing."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from pipelines.commandline.composition import verbatim_options
from pipelines.commandline.idle_options import require_effect
from pipelines.commandline.overrides import prepare
from pipelines.run import idle
from tests.pipelines.tiny_chain import TINY, called_at_once, config_of, refusal
from wordless.base.errors import InputError

PATHS = frozenset({"corpus.root", "input"})
AWKWARD = [
    "/data/my sounds",
    "/data/a (copy)/b",
    "/data/a=b",
    "/data/a,b,c",
    "/data/[old]/{x}",
    "/data/it's",
    '/data/the "best" one',
    "/data/both ' and \"",
    "C:\\sounds\\",
    "\\",
    "\\'",
    "/data/$x",
    "/data/${x",
    "/data/100%/%s",
    "/data/träume/音",
    "2024",
    "true",
    "1,2",
    "a:b",
    " leading",
    "'",
    "''a",
]


def arrives(value: str) -> object:
    """The value that a config holds after Hydra has parsed the prepared word."""
    (word,) = prepare([f"corpus.root={value}"], PATHS)
    parsed = OverridesParser.create().parse_override(word)
    assert not parsed.is_sweep_override()
    again = OverridesParser.create().parse_override(f"corpus.root={parsed.get_value_element_as_str()}")
    assert again.value() == parsed.value()  # a sweep writes the value out and parses it again
    return OmegaConf.create({"root": parsed.value()}).root


@pytest.mark.parametrize("value", AWKWARD)
def test_awkward_paths_arrive_as_typed(value: str) -> None:
    assert arrives(value) == value


@given(st.text(alphabet=st.sampled_from("ab/ '\"\\()[]{},=:$%~*?#@+-.é"), min_size=1))
def test_any_path_arrives_as_typed(value: str) -> None:
    expected = f"/{value}"  # absolute, so that neither ~ nor quotes around the whole mean anything
    if "${" not in value:
        assert arrives(expected) == expected


def test_home_is_expanded() -> None:
    assert arrives("~") == str(Path.home())
    assert arrives("~/my sounds") == str(Path.home() / "my sounds")
    user = os.environ.get("USER", "root")
    assert arrives(f"~{user}/x") == os.path.expanduser(f"~{user}/x")  # noqa: PTH111  Path raises for unknown users
    assert arrives("~nobody-of-this-name/x") == "~nobody-of-this-name/x"


@pytest.mark.parametrize("word", ["input='a b'", 'input="a,b"', "input='a','b'", "input=null", "input="])
def test_what_was_quoted_for_hydra_stays(word: str) -> None:
    assert prepare([word], PATHS) == [word]


def test_interpolations_keep_their_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/scratch (big)")
    assert arrives("${oc.env:SCRATCH}/a b") == "/scratch (big)/a b"
    assert arrives("/data/\\${x}") == "/data/${x}"  # OmegaConf's own way to write it as it stands


def test_only_paths_and_columns_are_quoted_and_switches_come_first() -> None:
    words = ["tokenizer.codebook_size=16,64", "+input=a b", "hydra.run.dir=a (1)"]
    assert prepare(words, PATHS) == ["tokenizer.codebook_size=16,64", "+input='a b'", "hydra.run.dir='a (1)'"]
    words = ["a=1", "-m", "b=2", "--config-dir", "x=y", "--info", "c=3", "-i", "all"]
    assert prepare(words, PATHS) == ["-m", "--config-dir", "x=y", "--info", "-i", "all", "a=1", "b=2", "c=3"]
    words = ["corpus.columns.audio=1", "corpus.columns.start=Begin Time (s)", "corpus.columns.label=[tempo,key]"]
    assert prepare(words, verbatim_options("run")) == [
        "corpus.columns.audio='1'", "corpus.columns.start='Begin Time (s)'", "corpus.columns.label=[tempo,key]"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "told"),
    [("--seed=1", "seed=1"), ("--seed", "seed=value"), ("--store-root=x", "store_root=x"), ("smoke", "OPTION=VALUE")],
)
def test_what_is_no_option_is_refused(word: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        prepare([word], PATHS)


@pytest.mark.parametrize(
    ("word", "prepared"),
    [("lm=3", "lm='3'"), ("+corpus=true", "+corpus='true'"), ("lm=tiny", "lm=tiny"), ("seed=3", "seed=3")],
)
def test_a_number_in_the_place_of_a_preset_is_a_text(word: str, prepared: str) -> None:
    """Hydra raises its own error for a number, and lists the presets for a text."""
    assert prepare([word], frozenset()) == [prepared]


MADE = {  # what must be given of each command
    "run": (),
    "probe": ("model=x",),
    "finetune": ("model=x", "corpus.root=x"),
    "decode": ("model=x", "input=x", "output=x"),
    "generate": ("model=x", "output=x"),
}


def check(command: str, words: Sequence[str]) -> None:
    require_effect(command, config_of(command, *MADE[command], *words), words, idle if command == "run" else None)


FOLDS = "compare.folds=group"
STARTED = ("tokenizer.start=x",)
INDICES = ("corpus.split.test=['0-4']", "corpus.split.validation=['5-9']")
BY_INDEX = ("corpus.root=x", "corpus.split.by=index")
HELD_OUT = ("corpus.root=x", "corpus.split.by=group", "corpus.split.test=[a]")
UNTRAINED = ("vocoder.start=y", "vocoder.fit.steps=0")


@pytest.mark.parametrize(
    ("command", "words", "option", "cause"),
    [
        ("run", ("corpus.root=x", "embedded.voices=4"), "embedded.voices", "corpus.root=x"),
        ("run", ("corpus.table=t.csv", "embedded.label=text"), "embedded.label", "corpus.table=t.csv"),
        ("probe", ("corpus.dataset=d", "embedded.words=3"), "embedded.words", "corpus.dataset=d"),
        ("finetune", ("embedded.takes=2",), "embedded.takes", "corpus.root=x"),
        ("run", ("corpus.table=t.csv", "corpus.extensions=[wav]"), "corpus.extensions", "corpus.table=t.csv"),
        ("run", ("corpus.shards=a.tar", "corpus.extensions=[wav]"), "corpus.extensions", "corpus.shards=a.tar"),
        ("run", ("corpus.root=x", FOLDS, "corpus.split.test=[a]"), "corpus.split.test", FOLDS),
        ("run", ("corpus.root=x", FOLDS, "corpus.split.test_fraction=0.3"), "corpus.split.test_fraction", FOLDS),
        ("run", (*HELD_OUT, "corpus.split.test_fraction=0.3"), "corpus.split.test_fraction", "corpus.split.test "),
        ("run", (*HELD_OUT, "corpus.split.validation=[b]", "corpus.split.seed=3"), "corpus.split.seed", "drawn"),
        ("run", ("compare.hearing_rates=0.1",), "compare.hearing_rates", "compare.hearings"),
        ("run", ("probe.classifier=ridge", "probe.max_iterations=9"), "probe.max_iterations", "probe.classifier"),
        ("run", ("embedded.words=9", "zerospeech.rounds=2"), "zerospeech.rounds", "stages"),
        ("run", ("embedded.words=9", "embedded.sentences=9"), "embedded.words", "embedded.sentences"),
        ("probe", ("embedded.takes=9", "embedded.sentences=9"), "embedded.takes", "embedded.sentences"),
        ("run", ("rates.seconds=2",), "rates.seconds", "stages"),
        ("run", ("stages=[tokenizer,lm]", "compare.methods=[gpt]"), "compare.methods", "stages"),
        ("run", ("stages=[tokenizer,vocoder]", "compare.states=[inner]"), "compare.states", "stages"),
        ("run", ("stages=tokenizer", "compare.features={own: x.npz}"), "compare.features", "stages"),
        ("run", ("vocoder.fit.lr=1e-3",), "vocoder.fit.lr", "vocoder.fit.steps=300"),
        ("run", ("vocoder.fit.keep=last",), "vocoder.fit.keep", "vocoder.fit.steps=300"),
        ("run", ("vocoder.crops.batch_size=4", "stages=vocoder"), "vocoder.crops.batch_size", "vocoder.fit.steps=300"),
        ("run", ("vocoder.codebook_sizes=[32,64]",), "vocoder.codebook_sizes", "vocoder.fit.steps=300"),
        ("run", ("corpus.root=x", *UNTRAINED, "vocoder.crops.seed=4"), "vocoder.crops.seed", "vocoder.fit.steps=300"),
        ("run", ("zerospeech.voices=20", "embedded.voices=50"), "zerospeech.voices", "embedded.voices=50"),
        ("run", (*STARTED, "tokenizer.fit.steps=5"), "tokenizer.fit.steps", "tokenizer.start=x"),
        ("run", (*STARTED, "tokenizer.kmeans_iterations=5"), "tokenizer.kmeans_iterations", "tokenizer.start=x"),
        ("run", (*STARTED, "tokenizer.dynamic_ranges=[22,50]"), "tokenizer.dynamic_ranges", "tokenizer.start=x"),
        ("run", (*BY_INDEX, *INDICES, "corpus.split.seed=3"), "corpus.split.seed", "drawn"),
        ("finetune", ("beside=[scratch]", "probe.penalties=9"), "probe.penalties", "beside"),
        ("decode", ("synthesis=griffin_lim", "temperature=0.5"), "temperature", "griffin_lim"),
        ("decode", ("temperature=0", "top_p=0.5"), "top_p", "temperature=0"),
        ("generate", ("synthesis=none", "vocoder_temperature=0.5"), "vocoder_temperature", "none"),
        ("generate", ("synthesis=griffin_lim", "postfilter=0.5"), "postfilter", "griffin_lim"),
        ("decode", ("postfilter=0", "postfilter_passes=3"), "postfilter_passes", "postfilter=0"),
        ("run", ("listening.postfilter=0", "listening.postfilter_passes=3"), "listening.postfilter_passes", "filter"),
        ("run", ("listening.grammar=free",), "listening.grammar", "words"),
        ("run", ("listening.judges=[stoi]", "listening.judge=supervised"), "listening.judge", "recognised"),
        ("run", ("listening.judges=[stoi]", "listening.judged_clips=0"), "listening.judges", "judged_clips=0"),
        ("generate", ("include_prompt=false",), "include_prompt", "prompt"),
        ("generate", ("temperature=0", "top_k=5"), "top_k", "temperature=0"),
    ],
)
def test_an_option_without_an_effect_is_refused(command: str, words: tuple[str, ...], option: str, cause: str) -> None:
    with pytest.raises(InputError) as caught:
        check(command, words)
    assert str(caught.value).startswith(f"{option} ")
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run", TINY),
        ("run", ("experiment=smoke", "corpus.root=x")),  # the preset sets embedded.voices
        ("run", ("corpus.root=x", "embedded.voices=null")),  # the default
        ("run", ("vocoder.fit.lr=1e-3", "vocoder.fit.steps=5")),
        ("run", ("vocoder.fit.lr=1e-3", "vocoder.start=null")),
        ("run", ("vocoder.fit.lr=1e-3", "corpus.root=x")),
        ("run", ("vocoder.fit.steps=0",)),
        ("run", ("experiment=vocoder_ablations", "vocoder.fit.lr=1e-3")),
        ("run", ("zerospeech.voices=20",)),  # fewer voices are trained on
        ("run", ("zerospeech.sentences=9",)),  # the built-in sentences are tested
        ("run", ("embedded.words=9", "embedded.takes=1")),
        ("run", ("experiment=smoke", "embedded.sentences=9")),  # the preset sets words
        ("run", ("corpus.root=x", "embedded.voices=4", "unlabelled=[embedded]")),
        ("run", ("corpus.root=x", "corpus.extensions=[wav]")),
        ("run", ("corpus.table=t.csv", "corpus.extensions=[wav]", "unlabelled=[more]")),
        ("run", (*HELD_OUT, "corpus.split.validation_fraction=0.3", "corpus.split.seed=3")),
        ("run", ("corpus=fsdd", "corpus.root=x", FOLDS)),
        ("run", ("corpus.root=x", FOLDS, "corpus.split.shared_groups=true")),
        ("run", ("stages=[zerospeech]", "zerospeech.rounds=2")),
        ("run", ("stages=[tokenizer,vocoder]", "compare.methods=[mfcc]")),  # a probe of them may name decoded sounds
        ("run", ("stages=[tokenizer]", "compare.folds=group")),
        ("run", (*STARTED, "tokenizer.sample_patches=500", "tokenizer.seed=2", "tokenizer.health.gate=stop")),
        ("run", ("experiment=smoke", *STARTED)),  # the preset sets tokenizer.fit.steps
        ("run", ("corpus.root=x", "corpus.split.by=index", INDICES[0], "corpus.split.seed=3")),
        ("decode", ("temperature=0.5", "top_p=0.5")),
        ("generate", ("synthesis=griffin_lim", "temperature=0.5", "top_k=3")),
        ("generate", ("prompt=a.wav", "include_prompt=false")),
    ],
)
def test_options_with_an_effect_are_not(command: str, words: tuple[str, ...]) -> None:
    check(command, words)


def test_the_command_itself_refuses(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    line = refusal(called_at_once(tmp_path / "run", *TINY, f"corpus.root={tmp_path / 'in'}"))
    assert "embedded.voices" in line
