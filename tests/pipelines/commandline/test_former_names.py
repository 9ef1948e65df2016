"""Options and values of version 0.x: the command line, presets, saved configs and keys of the store know them."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import initialize_config_module
from omegaconf import OmegaConf

from lm.probing.probe_options import ProbeConfig
from lm.probing.vectors import VectorConfig
from pipelines.commandline.command_words import prepare
from pipelines.commandline.composed_config import resolved
from pipelines.commandline.former_options import RENAMED, tell_renamed, with_names_of_today
from pipelines.commands import COMMANDS
from pipelines.settings.run_settings import ReadingConfig
from pipelines.store.stage import argument_key
from tests.calling import compose, index
from wordless.base.options import build, leaves

# Words of version 0.x -> the same of today.
OPTIONS = {
    "compare.assignments=soft": "compare.readout=similarities",
    "compare.hearings=3": "compare.test_time_augmentation=3",
    "probe.bounds=[3]": "probe.feature_clipping=[3]",
    "probe.penalties=7": "probe.regularisation_strengths=7",
    "listening.judged_clips=7": "listening.evaluated_clips=7",
    "listening.judges=[recognised,pitch]": "listening.metrics=[label_accuracy,pitch]",
    "listening.judge=supervised": "listening.evaluator=supervised",
    "embedded.takes=7": "embedded.repetitions=7",
}
# Options that presets alone can set, as those above.
OF_PRESETS = {
    "probe.layer_penalties=3": "probe.layer_regularisation_strengths=3",
    "probe.penalty_low=0.1": "probe.c_low=0.1",
    "probe.penalty_high=10": "probe.c_high=10",
    "zerospeech.rounds=2": "zerospeech.pseudo_words_per_word=2",
}
GROUPS = {"body": "backbone"}  # groups of options, which tests/pipelines/commandline/test_overrides.py tries


def composed(*words: str) -> dict[str, Any]:
    with initialize_config_module("conf", version_base="1.3"):
        config = resolved(compose("run", overrides=list(prepare(words, index("run")).overrides)))
    return with_names_of_today(config, index("run"))


def name_of(word: str) -> str:
    return word.partition("=")[0]


def test_the_table_has_every_former_option() -> None:
    known = {name for command in COMMANDS for name in index(command).former} | {*RENAMED}
    below = {name for name in known if name.partition(".")[0] in GROUPS}
    assert known - below == {name_of(word) for word in (*OPTIONS, *OF_PRESETS)}
    assert {name.partition(".")[0] for name in below} == GROUPS.keys()
    assert {name for command in COMMANDS for name in index(command).former if name in index(command).names} == set()


def test_former_words_give_the_config_of_todays_and_one_line_each_that_names_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_renamed.cache_clear()
    plain, today = dict(leaves(composed())), dict(leaves(composed(*OPTIONS.values())))
    assert dict(leaves(composed(*OPTIONS))) == today
    assert {name for name in plain if plain[name] != today[name]} >= {name_of(word) for word in OPTIONS.values()}
    composed(*OPTIONS)  # says nothing again
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [f"{old} is now {new}" for old, new in OPTIONS.items()]


def test_a_preset_with_former_names_gives_the_config_of_todays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_renamed.cache_clear()
    found = list[dict[str, object]]()
    for number, words in enumerate(((*OPTIONS, *OF_PRESETS), (*OPTIONS.values(), *OF_PRESETS.values()))):
        values = OmegaConf.create()
        for word in words:
            name, _, value = word.partition("=")
            OmegaConf.update(values, name, yaml.safe_load(value))
        (tmp_path / "experiment").mkdir(exist_ok=True)
        text = f"# @package _global_\n{OmegaConf.to_yaml(values)}"
        (tmp_path / "experiment" / f"own{number}.yaml").write_text(text)
        found.append(dict(leaves(composed(f"hydra.searchpath=[file://{tmp_path}]", f"experiment=own{number}"))))
    assert found[0] == found[1]
    told = {line.partition(";")[0] for line in capsys.readouterr().err.splitlines()}
    assert told == {f"{name_of(old)} is now {name_of(new)}" for old, new in (OPTIONS | OF_PRESETS).items()}


def test_saved_configs_with_former_names_are_read_and_keys_of_the_store_keep_them() -> None:
    assert build(VectorConfig, {"hearings": 3}, name="") == VectorConfig(test_time_augmentation=3)
    key: Any = argument_key(ReadingConfig(test_time_augmentation=3), set())
    assert key["hearings"] == 3
    assert "test_time_augmentation" not in key
    former = {"bounds": [3.0], "penalties": 7, "layer_penalties": 3, "penalty_low": 0.1, "penalty_high": 10.0}
    probe = ProbeConfig(
        feature_clipping=(3.0,), regularisation_strengths=7, layer_regularisation_strengths=3, c_low=0.1, c_high=10.0
    )
    assert build(ProbeConfig, former, name="") == probe
    key = argument_key(probe, set())
    assert former.items() <= key.items()
    assert len(key) == len(fields(probe))
