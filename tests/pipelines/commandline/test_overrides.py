"""Quoting, against Hydra's own parser."""

import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from pipelines.commandline.composition import verbatim_options
from pipelines.commandline.overrides import prepare
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
