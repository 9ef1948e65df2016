"""``wordless generate``, with tiny models."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.store.outputs import new_folder
from tests.pipelines.jobs.conftest import Calling, run_of
from tests.pipelines.tiny import save_rates_run
from tokenizer.codes import Codes
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.base.files import MARK
from wordless.base.messages import InputError

STEP = 80  # samples per code of the tiny tokenizer


def codes_at(folder: Path) -> list[Codes]:
    return [clip.codes for clip in read_codes(folder / "codes.parquet")[1]]


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


def test_speaks_from_silence(call: Calling, run_folder: Path) -> None:
    out = call("generate", "out")
    names = [MARK, "codes.parquet", "sample_0.wav", "sample_1.wav"]
    assert sorted(path.name for path in out.iterdir()) == names
    model = LanguageModel.from_pretrained(run_folder / "lm")
    first, second = codes_at(out)
    np.testing.assert_array_equal(first.values, model.generate(seconds=0.21, temperature=0.9, seed=0).values)
    assert first.values.tolist() != second.values.tolist()
    assert len(samples(out / "sample_0.wav")) == first.num_samples == 840


@pytest.mark.parametrize("rates", [False, True])
def test_goes_on_from_the_whole_codes_of_a_prompt(
    rates: bool, call: Calling, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    run, step = (save_rates_run(tmp_path / "run", seed=0), 4 * STEP) if rates else (run_folder, STEP)
    recording = recordings / "c.ogg"
    prompted = call("generate", "with", model=run, prompt=recording)
    alone = call("generate", "without", model=run, prompt=recording, include_prompt=False)
    tokenizer, model = Tokenizer.from_pretrained(run / "tokenizer"), LanguageModel.from_pretrained(run / "lm")
    prompt = tokenizer.encode_file(recording)
    steps = prompt.num_samples // step
    whole, new = codes_at(prompted)[0], codes_at(alone)[0]
    made = model.generate(prompt, seconds=0.21, temperature=0.9, seed=0)
    np.testing.assert_array_equal(new.values, made.values)
    np.testing.assert_array_equal(whole.values, np.concatenate([prompt.values[:steps], new.values]))
    assert (whole.num_samples, new.num_samples, new.format) == (steps * step + 840, 840, tokenizer.format)
    heard = samples(prompted / "sample_0.wav")
    own = np.round(read(recording, 4000).samples[: steps * step] * 32_767)
    assert np.abs(heard[: steps * step] - own).max() <= 1  # the recording itself
    np.testing.assert_array_equal(heard[steps * step :], samples(alone / "sample_0.wav"))
    again = call("decode", "again", model=run, input=prompted / "codes.parquet")
    assert len(samples(again / "sample_1.wav")) == len(heard) == whole.num_samples


@pytest.mark.parametrize("synthesis", ["wavenet", "griffin_lim"])
def test_decoding_the_generated_codes_gives_their_sounds_again(synthesis: str, call: Calling) -> None:
    own = {"seed": 5, "synthesis": synthesis}
    several, single = call("generate", "out", num_samples=3, **own), call("generate", "sound.wav", num_samples=1, **own)
    decoded = call("decode", "again", input=several / "codes.parquet", **own)
    for number in range(3):
        made, again = (folder / f"sample_{number}.wav" for folder in (several, decoded))
        assert made.read_bytes() == again.read_bytes()
    assert single.read_bytes() == (several / "sample_0.wav").read_bytes()


def test_codes_alone_need_no_vocoder(call: Calling, run_folder: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tokenizer=run_folder, lm=run_folder)
    assert [path.name for path in call("generate", "out", model=run, synthesis="none").iterdir()] == ["codes.parquet"]
    with pytest.raises(InputError, match=r"vocoder/config\.json\b"):
        call("generate", "other", model=run)


def test_of_two_commands_with_one_output_one_is_refused(call: Calling, tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        (folder / "half.wav").touch()
        with pytest.raises(InputError, match=r"writing output="):
            call("generate", "out")
        assert (folder / "half.wav").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["half.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_prompts_and_models_that_do_not_fit_are_refused(
    call: Calling, run_folder: Path, other_run: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "blip.wav", np.zeros(STEP - 1), 4000)
    with pytest.raises(InputError, match=r"blip\.wav\b.*\b0\.020 s\b.*\b0\.020 s\b"):
        call("generate", "out", prompt=tmp_path / "blip.wav")
    soundfile.write(tmp_path / "short.wav", np.full(300, 0.1, np.float32), 4000)  # of a coarse code
    with pytest.raises(InputError, match=r"\b0\.075 s\b.*\b0\.080 s\b"):
        call("generate", "out", model=save_rates_run(tmp_path / "rates", seed=0), prompt=tmp_path / "short.wav")
    with pytest.raises(InputError, match="codebook"):
        call("generate", "out", model=run_of(tmp_path / "run", tokenizer=run_folder, lm=other_run, vocoder=run_folder))
