"""``import wordless``: fast, typed, and the same names for Python, for type checkers and for people."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import wordless
from tests.pipelines.tiny import AUDIO, save_run, sweep

ROOT = Path(__file__).parents[2]
SOURCE = ast.parse(Path(wordless.__file__).read_text(encoding="utf-8"))
RATE = AUDIO.sample_rate


def typed_names() -> dict[str, str]:
    """Name -> module of what type checkers see."""
    (block,) = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in found for alias in node.names}


def test_python_and_type_checkers_see_the_same_names() -> None:
    assert typed_names() == wordless._HOMES
    assert sorted([*typed_names(), "__version__"]) == sorted(wordless.__all__)
    assert sorted(dir(wordless)) == sorted(wordless.__all__)


@pytest.mark.parametrize("name", [name for name in wordless.__all__ if name != "__version__"])
def test_each_name_is_that_of_its_package(name: str) -> None:
    assert getattr(wordless, name) is getattr(import_module(typed_names()[name]), name)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(AttributeError, match=r"'Tokeniser'.*\bCodes, .*\bTokenizer\b"):
        wordless.Tokeniser  # type: ignore[attr-defined]  # noqa: B018  it is refused


def test_the_import_loads_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import wordless\n"
        "print(sorted(name for name in set(sys.modules) - before - sys.stdlib_module_names if name != 'wordless'))\n"
        "print(wordless.__version__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, version = done.stdout.splitlines()
    assert [name for name in ast.literal_eval(loaded) if name.partition(".")[0] not in sys.stdlib_module_names] == []
    assert version == f"{wordless.__version__} False"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"), seed=0)


def test_any_array_or_tensor_goes_from_codes_to_sound(folder: Path) -> None:
    tokenizer = wordless.Tokenizer.from_pretrained(folder / "tokenizer")
    model = wordless.LanguageModel.from_pretrained(folder / "lm")
    vocoder = wordless.Vocoder.from_pretrained(folder / "vocoder")
    left = (sweep(0.5, 2 * RATE) * 2**14).astype(np.int16)
    stereo = np.stack([left, left], axis=1)
    expected = tokenizer.encode(wordless.Waveform(samples=left.astype(np.float32) / 2**15, sample_rate=2 * RATE))
    samples: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]] | torch.Tensor] = [
        *(stereo, stereo.T, left, left / 2**15, (left / 2**15).astype(np.float32)),
        *(torch.from_numpy(stereo), torch.from_numpy(left / 2**15)[None].float()),
    ]
    for each in samples:
        codes = tokenizer.encode(each, sample_rate=2 * RATE)
        assert np.array_equal(codes.values, expected.values)
    whole = wordless.join_codes(expected, model.generate(expected, seconds=0.1))
    sounds = [vocoder.continue_from(each, whole, tokenizer, sample_rate=2 * RATE).samples for each in samples[:3]]
    assert all(np.array_equal(each, sounds[0]) for each in sounds)
    assert len(sounds[0]) == whole.num_samples - RATE // 2
