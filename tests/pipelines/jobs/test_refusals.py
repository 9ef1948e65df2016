"""Options that a command refuses in one line before it writes anything; ranges are those of tests/test_ranges.py."""

from pathlib import Path

import pytest

from pipelines.commandline.command import perform
from wordless.base.errors import InputError

Case = tuple[str, dict[str, object], str]  # command, changes of its options, and what the refusal says
PLACES: list[Case] = [
    *((command, {"model": "nowhere"}, r"^model=nowhere\b") for command in ("encode", "decode", "generate", "find")),
    *((command, {"input": "nowhere"}, r"^input is nowhere\b") for command in ("encode", "score", "find", "embed")),
    ("encode", {"model": "tests"}, r"tokenizer/config\.json\b.*compare\.folds\b"),
    ("encode", {"input": "docs"}, r"^input is docs;"),
    ("decode", {"input": "nowhere"}, r"^input=nowhere\b"),
    ("generate", {"prompt": "nowhere.wav"}, r"^prompt=nowhere\.wav\b"),
    ("score", {"input": "[]"}, r"^input=\[\]"),
    ("find", {"query": "nowhere.wav"}, r"^query is nowhere\.wav\b"),
    ("embed", {"root": "somewhere"}, r"^root\b"),
    ("predict", {"model": "nowhere", "output": None}, r"^model=nowhere\b.*\brun\b"),
    ("predict", {"model": "tests", "output": None}, r"^model=tests\b.*wordless finetune\b.*\brun\b"),
]
OUTPUTS: list[Case] = [
    *(("encode", {"output": output}, rf"\{Path(output).suffix} ") for output in ("c.npz", "c.txt")),
    ("encode", {"output": "c.mp3", "format": "jsonl"}, r"\.mp3 "),
    ("encode", {"output": "x.parquet", "format": "jsonl"}, r"format=jsonl\b"),
    ("encode", {"output": "x.tsv", "format": "fairseq"}, r"\.km\b"),
    ("decode", {"output": "o.mp3"}, r"output=o\.mp3 .*\.mp3\b.*\bfolder\b.*\.wav\b"),
    ("decode", {"output": "o.NPZ"}, r"output=o\.NPZ .*\.npz\b"),
    ("generate", {"output": "m.wav", "num_samples": 4}, r"num_samples\b.*\b4\b.*num_samples=1\b.*folder$"),
    ("generate", {"output": "m.wav", "num_samples": 1, "synthesis": "none"}, r"=wavenet\b.*=griffin_lim\b"),
    ("generate", {"output": "m.mp3", "num_samples": 1}, r"\.mp3\b.*\bfolder\b"),
    ("score", {"output": "scores"}, r"^output\b.*\bscores\b.*\.tsv\b"),
    ("find", {"output": "hits.xlsx"}, r"^output is hits\.xlsx\b"),
    ("embed", {"output": "x.csv"}, "npz"),
    ("predict", {"output": "table.wav"}, r"output\b.*table\.wav\b.*\.tsv\b"),
]
OTHERS: list[Case] = [
    ("encode", {"deduplicate": True}, r"deduplicate is true\b.*format=parquet\b"),
    ("decode", {"group": "carl"}, r"group\b.*'carl'"),
    ("decode", {"group": "anna", "synthesis": "griffin_lim"}, r"Griffin-Lim\b.*groups"),
    ("decode", {"synthesis": "wavnet"}, r"synthesis is wavnet\b.*\bwavenet\b"),
    ("generate", {"group": "carl"}, r"group\b.*'carl'"),
    ("find", {"layer": 2, "features": "states"}, r"^layer\b.*\b2\b"),
    ("embed", {"layer": "layer_9"}, "^layer"),
    ("embed", {"method": "gpt_sound"}, "gpt_sound"),
    ("embed", {"method": "bag_of_codes", "layer": "layer_1"}, "layer.*bag_of_codes.*method=gpt"),
]


@pytest.mark.parametrize(("command", "changed", "told"), [*PLACES, *OUTPUTS, *OTHERS])
def test_what_cannot_be_is_refused(
    command: str, changed: dict[str, object], told: str, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    (units := tmp_path / "units.txt").write_text("1 2\n")
    (place := tmp_path / "place").mkdir()
    own: dict[str, dict[str, object]] = {
        "decode": {"input": str(units), "codes_per_unit": 3},
        "find": {"query": str(recordings / "a.wav"), "output": str(place / "hits.tsv")},
        "embed": {"output": str(place / "x.npz")},
    }
    options = {"model": str(run_folder), "input": str(recordings), "output": str(place / "out"), "device": "cpu"}
    options = {**options, **own.get(command, {}), **changed}
    if command == "generate":
        del options["input"]
    if command in ("encode", "decode", "find", "embed"):
        options["store"] = {"root": str(tmp_path / "store")}
    if command == "score":
        options.setdefault("workers", 1)
        options["output"] = changed.get("output")
    with pytest.raises(InputError, match=told) as refused:
        perform(command, options)
    assert "\n" not in str(refused.value)
    assert not list(place.iterdir())
