"""Quoting, against Hydra's own parser."""

import os
import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from pipelines.commandline.command_words import prepare
from pipelines.commandline.composed_config import explain, require_values
from pipelines.settings.run_settings import corpus_options
from tests.calling import completed, index
from tests.pipelines.tiny_chain import config_of
from wordless.base.messages import InputError

RUN, FINETUNE = index("run"), index("finetune")


def arrives(value: str) -> object:
    """The value that a config holds after Hydra has parsed the prepared word."""
    (word,) = prepare([f"corpus.root={value}"], RUN).overrides
    parsed = OverridesParser.create().parse_override(word)
    assert not parsed.is_sweep_override()
    again = OverridesParser.create().parse_override(f"corpus.root={parsed.get_value_element_as_str()}")
    assert again.value() == parsed.value()  # a sweep writes the value out and parses it again
    return OmegaConf.create({"root": parsed.value()}).root


@given(st.text(alphabet=st.sampled_from("ab/ '\"\\()[]{},=:$%~*?#@+-.é"), min_size=1))
def test_any_path_arrives_as_typed(value: str) -> None:
    expected = f"/{value}"  # absolute, so that neither ~ nor quotes around the whole mean anything
    if "${" not in value:
        assert arrives(expected) == expected


@pytest.mark.parametrize("name", ["lm.fit.seed", "vocoder.fit.checkpoint_minutes", "baselines.simclr.fit.seed"])
def test_a_preset_may_not_set_what_the_command_sets_for_all_trainings(name: str) -> None:
    config = OmegaConf.create({**config_of("run")})
    OmegaConf.update(config, name, 3, force_add=True)
    with pytest.raises(InputError, match=rf"^{re.escape(name)} is 3; all trainings of a command\b"):
        completed("run", OmegaConf.to_container(config))  # type: ignore[arg-type]  # a mapping


def test_an_option_of_the_built_in_corpus_is_refused_at_its_own_place() -> None:
    config = completed("run", config_of("run", "embedded.voices=99"))
    with pytest.raises(InputError, match=r"^embedded\.voices is 99\b"):
        corpus_options(config)


USER = os.environ.get("USER", "root")
AS_TYPED = (
    *("/data/both ' and \"", "C:\\sounds\\", "\\", "\\'", "/data/${x", "/data/träume/音"),
    *("2024", "true", "1,2", "a:b", " leading", "'", "''a", "~nobody-of-this-name/x"),
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        *((each, each) for each in AS_TYPED),
        *(("~", str(Path.home())), ("~/my sounds", str(Path.home() / "my sounds"))),
        (f"~{USER}/x", os.path.expanduser(f"~{USER}/x")),  # noqa: PTH111  Path raises for unknown users
        ("${oc.env:SCRATCH}/a b", "/scratch (big)/a b"),  # an interpolation keeps its meaning
        ("/data/\\${x}", "/data/${x}"),  # OmegaConf's own way to write it as it stands
    ],
)
def test_a_path_arrives_as_it_is_meant(typed: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/scratch (big)")
    assert arrives(typed) == expected


def test_what_was_quoted_for_hydra_stays() -> None:
    words = [f"corpus.root={value}" for value in ("'a b'", '"a,b"', "'a','b'", "null", "")]
    assert prepare(words, RUN).overrides == words


def test_only_paths_and_columns_are_quoted_and_switches_may_stand_anywhere() -> None:
    words = ["tokenizer.codebook_size=16,64", "++corpus.root=a b", "hydra.run.dir=a (1)", "+lmm.new=a b"]
    quoted = ["tokenizer.codebook_size=16,64", "++corpus.root='a b'", "hydra.run.dir='a (1)'", "+lmm.new=a b"]
    assert prepare(words, RUN).overrides == quoted
    arguments = prepare(["seed=1", "-m", "quick=true", "--config-dir", "x", "workers=3", "-p", "all"], RUN)
    assert arguments.overrides == ["seed=1", "quick=true", "workers=3"]
    assert (arguments.multirun, arguments.config_dir, arguments.package) == (True, "x", "all")
    words = ["lm=3", "++corpus=true", "lm=tiny", "seed=3"]  # Hydra lists the presets for a text, not for a number
    assert prepare(words, RUN).overrides == ["lm='3'", "++corpus='true'", "lm=tiny", "seed=3"]
    words = ["corpus.columns.path=1", "corpus.columns.start=Begin Time (s)"]
    assert prepare(words, RUN).overrides == [
        "corpus.columns.path='1'", "corpus.columns.start='Begin Time (s)'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--seed=1", "seed=1"),
        ("--seed", "seed=value"),
        ("--store-root=x", "store_root=x"),
        ("smoke", "OPTION=VALUE"),
        ("--cfg=jobs", r"--cfg\b.*\bjob\b"),
        ("--con=x", r"--con=x\b"),
        ("--resolve", "--cfg"),
        ("lm.gpt.layres=3", r"\blm\.gpt\.layers\?"),
        ("lm=null", r"\blm\b.*\btiny\b"),
    ],
)
def test_what_is_no_option_is_refused(word: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        prepare([word], RUN)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("lm.gpt.layers=0", r"\blm\.gpt\.layers is 0\b.*\b1 to 256\b"),
        ("compare.methods=[gpt,simcrl]", r"\bcompare\.methods\b.*\bsimclr\?"),
        ("compare.methods=[denoisng]", r"\bcompare\.methods\b.*\bdenoising\?"),
        ("seed=many", r"\bseed is many\b.*whole number"),
        ("zerospeech.voices=null", r"\bzerospeech\.voices\b.*whole number"),
        ("stages=lmm", r"\bstages\b.*\blm\b"),
    ],
)
def test_a_value_that_will_not_do_is_refused_by_the_options_alone(word: str, told: str) -> None:
    require_values(config_of("run"), RUN)
    require_values(config_of("run", "stages=lm", "experiment=smoke"), RUN)
    with pytest.raises(InputError, match=told):
        require_values(config_of("run", word), RUN)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("stages=tokenizer,lm", r"stages=tokenizer,lm\b.*write stages=\[tokenizer,lm\], or add -m\b"),
        ("lm.gpt.layers=1,2", r"lm\.gpt\.layers=1,2\b.*name one, or add -m\b"),
        ("experiment=mine", r"experiment=mine\b.*--config-dir FOLDER\b.*experiment/mine\.yaml"),
    ],
)
def test_several_values_and_unknown_presets_have_a_remedy(word: str, told: str) -> None:
    with pytest.raises(HydraException) as raised:
        config_of("run", word)
    assert re.search(told, str(explain(raised.value, RUN)))
