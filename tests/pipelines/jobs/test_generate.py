"""``wordless generate``, with tiny models."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.model import LanguageModel
from pipelines.store.outputs import new_folder
from tests.calling import decode, generate, options_of
from tests.pipelines.jobs.test_decode import options as decoding
from tests.pipelines.tiny import save_rates_run
from tokenizer.codes import Codes
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.base.errors import InputError
from wordless.base.files import MARK

STEP = 80  # samples per code of the tiny tokenizer


options = options_of("generate", "output", seconds=0.21, num_samples=2, top_k=0, vocoder_temperature=1.0)


def codes_at(folder: Path) -> list[Codes]:
    return [clip.codes for clip in read_codes(folder / "codes.parquet")[1]]


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


def test_speaks_from_silence(run_folder: Path, tmp_path: Path) -> None:
    generate(options(run_folder, tmp_path / "out"))
    names = [MARK, "codes.parquet", "sample_0.wav", "sample_1.wav"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    model = LanguageModel.from_pretrained(run_folder / "lm")
    first, second = codes_at(tmp_path / "out")
    np.testing.assert_array_equal(first.values, model.generate(seconds=0.21, temperature=0.9, seed=0).values)
    assert first.values.tolist() != second.values.tolist()
    assert len(samples(tmp_path / "out/sample_0.wav")) == first.num_samples == 840


@pytest.mark.parametrize("rates", [False, True])
def test_goes_on_from_the_whole_codes_of_a_prompt(
    rates: bool, run_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    run, step = (save_rates_run(tmp_path / "run", seed=0), 4 * STEP) if rates else (run_folder, STEP)
    prompted: dict[str, object] = {"prompt": str(recordings / "c.ogg")}
    generate(options(run, tmp_path / "with", **prompted))
    generate(options(run, tmp_path / "without", include_prompt=False, **prompted))
    tokenizer, model = Tokenizer.from_pretrained(run / "tokenizer"), LanguageModel.from_pretrained(run / "lm")
    prompt = tokenizer.encode_file(recordings / "c.ogg")
    steps = prompt.num_samples // step
    whole, new = codes_at(tmp_path / "with")[0], codes_at(tmp_path / "without")[0]
    made = model.generate(prompt, seconds=0.21, temperature=0.9, seed=0)
    np.testing.assert_array_equal(new.values, made.values)
    np.testing.assert_array_equal(whole.values, np.concatenate([prompt.values[:steps], new.values]))
    assert (whole.num_samples, new.num_samples, new.format) == (steps * step + 840, 840, tokenizer.format)
    heard = samples(tmp_path / "with/sample_0.wav")
    own = np.round(read(recordings / "c.ogg", 4000).samples[: steps * step] * 32_767)
    assert np.abs(heard[: steps * step] - own).max() <= 1  # the recording itself
    np.testing.assert_array_equal(heard[steps * step :], samples(tmp_path / "without/sample_0.wav"))
    decode(decoding(run, tmp_path / "with/codes.parquet", tmp_path / "again"))
    assert len(samples(tmp_path / "again/sample_1.wav")) == len(heard) == whole.num_samples


@pytest.mark.parametrize("synthesis", ["wavenet", "griffin_lim"])
def test_decoding_the_generated_codes_gives_their_sounds_again(
    run_folder: Path, tmp_path: Path, synthesis: str
) -> None:
    own = {"seed": 5, "synthesis": synthesis}
    generate(options(run_folder, tmp_path / "out", num_samples=3, **own))
    generate(options(run_folder, tmp_path / "sound.wav", num_samples=1, **own))
    store = {"store": {"root": str(tmp_path / "store")}}
    decode(decoding(run_folder, tmp_path / "out/codes.parquet", tmp_path / "again", **own, **store))
    for number in range(3):
        made, again = (tmp_path / folder / f"sample_{number}.wav" for folder in ("out", "again"))
        assert made.read_bytes() == again.read_bytes()
    assert (tmp_path / "sound.wav").read_bytes() == (tmp_path / "out/sample_0.wav").read_bytes()


def test_codes_alone_need_no_vocoder(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for part in ("tokenizer", "lm"):
        (tmp_path / "run" / part).symlink_to(run_folder / part)
    generate(options(tmp_path / "run", tmp_path / "out", synthesis="none"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["codes.parquet"]
    with pytest.raises(InputError, match=r"vocoder/config\.json\b"):
        generate(options(tmp_path / "run", tmp_path / "other"))


def test_of_two_commands_with_one_output_one_is_refused(run_folder: Path, tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        (folder / "half.wav").touch()
        with pytest.raises(InputError, match=r"writing output="):
            generate(options(run_folder, tmp_path / "out"))
        assert (folder / "half.wav").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["half.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_outputs_prompts_and_models_that_do_not_fit_are_refused(
    run_folder: Path, tmp_path: Path, other_run: Path
) -> None:
    with pytest.raises(InputError, match="exists"):
        generate(options(run_folder, tmp_path))
    soundfile.write(tmp_path / "blip.wav", np.zeros(STEP - 1), 4000)
    with pytest.raises(InputError, match=r"blip\.wav\b.*\b0\.020 s\b.*\b0\.020 s\b"):
        generate(options(run_folder, tmp_path / "out", prompt=str(tmp_path / "blip.wav")))
    rates = save_rates_run(tmp_path / "rates", seed=0)
    soundfile.write(tmp_path / "short.wav", np.full(300, 0.1, np.float32), 4000)  # of a coarse code
    with pytest.raises(InputError, match=r"\b0\.075 s\b.*\b0\.080 s\b"):
        generate(options(rates, tmp_path / "out", prompt=str(tmp_path / "short.wav")))
    (tmp_path / "run").mkdir()
    for part, run in (("tokenizer", run_folder), ("lm", other_run), ("vocoder", run_folder)):
        (tmp_path / "run" / part).symlink_to(run / part)
    with pytest.raises(InputError, match="codebook"):
        generate(options(tmp_path / "run", tmp_path / "out"))
