"""Options that a command refuses in one line before it writes anything; ranges are those of tests/test_ranges.py."""

from pathlib import Path

import pytest

from tests.pipelines.jobs.conftest import Calling
from wordless.base.messages import InputError

Case = tuple[str, dict[str, object], str]  # command, changes of its options, and what the refusal says
PLACES: list[Case] = [
    *((command, {"model": "nowhere"}, r"^model=nowhere\b") for command in ("encode", "decode", "generate")),
    *((command, {"input": "nowhere"}, r"^input is nowhere\b") for command in ("encode", "score", "embed")),
    ("encode", {"model": "tests"}, r"tokenizer/config\.json\b.*compare\.folds\b"),
    ("encode", {"input": "conf"}, r"^input is conf;"),
    ("decode", {"input": "nowhere"}, r"^input=nowhere\b"),
    ("generate", {"prompt": "nowhere.wav"}, r"^prompt=nowhere\.wav\b"),
    ("score", {"input": "[]"}, r"^input=\[\]"),
    ("embed", {"root": "somewhere"}, r"^root\b"),
    ("predict", {"model": "nowhere", "output": None}, r"^model=nowhere\b.*\brun\b"),
    ("predict", {"model": "tests", "output": None}, r"^model=tests\b.*wordless finetune\b.*\brun\b"),
]
OUTPUTS: list[Case] = [
    *(("encode", {"output": output}, rf"\{Path(output).suffix} ") for output in ("c.npz", "c.txt", "c.jsonl")),
    ("decode", {"output": "o.mp3"}, r"output=o\.mp3 .*\.mp3\b.*\bfolder\b.*\.wav\b"),
    ("decode", {"output": "o.NPZ"}, r"output=o\.NPZ .*\.npz\b"),
    ("generate", {"output": "m.wav", "num_samples": 4}, r"num_samples\b.*\b4\b.*num_samples=1\b.*folder$"),
    ("generate", {"output": "m.wav", "num_samples": 1, "synthesis": "none"}, r"=wavenet\b.*=griffin_lim\b"),
    ("generate", {"output": "m.mp3", "num_samples": 1}, r"\.mp3\b.*\bfolder\b"),
    ("score", {"output": "scores"}, r"^output\b.*\bscores\b.*\.tsv\b"),
    ("embed", {"output": "x.csv"}, "npz"),
    ("predict", {"output": "table.wav"}, r"output\b.*table\.wav\b.*\.tsv\b"),
    *((command, {"output": "docs"}, r"^output=docs exists") for command in ("encode", "decode", "generate")),
    *(
        (command, {"output": f"pyproject.toml/x.{suffix}"}, r"\bpyproject\.toml\b.* output=PATH")
        for command, suffix in (("encode", "parquet"), ("score", "tsv"), ("embed", "npz"))
    ),
]
OTHERS: list[Case] = [
    ("encode", {"deduplicate": True}, r"deduplicate is true\b.*\.km\b"),
    ("decode", {"group": "carl"}, r"group\b.*'carl'"),
    ("decode", {"group": "anna", "synthesis": "griffin_lim"}, r"Griffin-Lim\b.*groups"),
    ("decode", {"synthesis": "wavnet"}, r"synthesis is wavnet\b.*\bwavenet\b"),
    ("generate", {"group": "carl"}, r"group\b.*'carl'"),
    ("embed", {"layer": "layer_9"}, "^layer"),
    ("embed", {"method": "denoising"}, "denoising"),
    ("embed", {"method": "bag_of_codes", "layer": "layer_1"}, "layer.*bag_of_codes.*method=gpt"),
]


@pytest.mark.parametrize(("command", "changed", "told"), [*PLACES, *OUTPUTS, *OTHERS])
def test_what_cannot_be_is_refused(
    command: str, changed: dict[str, object], told: str, call: Calling, recordings: Path, tmp_path: Path
) -> None:
    (units := tmp_path / "units.txt").write_text("1 2\n")
    own: dict[str, dict[str, object]] = {
        "decode": {"input": units, "codes_per_unit": 3},
        "embed": {"output": str(tmp_path / "x.npz")},
        "score": {"output": None},
    }
    with pytest.raises(InputError, match=told) as refused:
        call(command, "out", **{**own.get(command, {}), **changed})
    assert "\n" not in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"units.txt", "store"}
