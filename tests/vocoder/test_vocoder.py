import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import SAMPLES_PER_CODE, SPECTROGRAM, Table, random_table, tiny_config
from tokenizer.codes import Codes
from vocoder.filters import VoiceHead
from vocoder.generation import LoudnessRange
from vocoder.options import Sampling
from vocoder.vocoder import Vocoder
from vocoder.wavenet import create_wavenet
from wordless.audio.mono import as_waveform
from wordless.audio.reading import resampled
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


@pytest.fixture
def vocoder() -> Vocoder:
    return Vocoder(create_wavenet(tiny_config(groups=("george", "jackson")), seed=0), "tok-1")


def test_batch_equals_one_by_one(vocoder: Vocoder) -> None:
    table = random_table()
    codes = [table.codes([1, 2]), table.codes([4]), table.codes([])]
    together = vocoder.decode_batch(codes, table, Sampling(seed=3), groups=["jackson", None, "george"])
    for sound, one, group in zip(together, codes, ["jackson", None, "george"], strict=True):
        assert np.array_equal(sound.samples, vocoder.decode(one, table, group=group, seed=3).samples)
    seeds = [7, 8, 9]
    together = vocoder.decode_batch(codes, table, Sampling(seed=3), seeds=seeds)
    for sound, one, seed in zip(together, codes, seeds, strict=True):
        assert np.array_equal(sound.samples, vocoder.decode(one, table, seed=seed).samples)
    with pytest.raises(InputError, match=r"\b2 seeds\b.*\b3 clips\b"):
        vocoder.decode_batch(codes, table, seeds=[7, 8])


def test_saved_and_loaded_sounds_the_same(vocoder: Vocoder, tmp_path: Path) -> None:
    vocoder.save_pretrained(tmp_path / "a")
    loaded = Vocoder.from_pretrained(tmp_path / "a", device="cpu")
    loaded.save_pretrained(tmp_path / "b")
    table = random_table()
    codes = table.codes([5, 0])
    assert loaded.model.config == vocoder.model.config
    assert np.array_equal(loaded.decode(codes, table).samples, vocoder.decode(codes, table).samples)
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    loudness = LoudnessRange(lowest=-50.0, highest=-10.0)
    Vocoder(vocoder.model, "tok-1", loudness=loudness).save_pretrained(tmp_path)
    guard = Vocoder.from_pretrained(tmp_path).guard
    assert guard is not None
    assert guard.loudness == loudness


def test_serves_other_codebooks_of_its_tokenizer_and_its_own_groups(vocoder: Vocoder) -> None:
    table = random_table(size=5, codebook="book-2")
    assert len(vocoder.decode(table.codes([4]), table).samples) == SAMPLES_PER_CODE
    with pytest.raises(InputError, match=r"'jacksen'.*\bjackson\b"):
        vocoder.group_index("jacksen")
    assert vocoder.group_index(None) == -1


def test_refuses_codes_of_another_tokenizer_codebook_or_rate(vocoder: Vocoder) -> None:
    stranger = random_table(tokenizer="tok-2")
    with pytest.raises(InputError, match=r"\btok-1\b.*\bcodes\b.*\btok-2\b"):
        vocoder.decode(stranger.codes([1]), stranger)
    with pytest.raises(InputError, match=r"\btok-1\b.*\btokenizer\b.*\btok-2\b"):
        vocoder.decode(random_table().codes([1]), stranger)
    with pytest.raises(InputError, match="book-2"):
        vocoder.decode(random_table(codebook="book-2").codes([1]), random_table())
    table = random_table()
    table.format = replace(table.format, sample_rate=16_000)
    with pytest.raises(InputError, match="16000 Hz"):
        vocoder.decode(table.codes([1]), table)


@pytest.mark.parametrize(
    ("change", "told"), [({"hop_length": SAMPLES_PER_CODE, "patch_frames": 1}, "samples"), ({"n_mels": 99}, r"\b99\b")]
)
def test_refuses_a_tokenizer_with_other_frames_of_the_same_fingerprint(change: dict[str, int], told: str) -> None:
    config = replace(tiny_config(), **change)
    vocoder = Vocoder(create_wavenet(config, seed=0), "tok-1")
    with pytest.raises(InputError, match=told):
        vocoder.require_tokenizer(random_table())
    with pytest.raises(InputError, match=told):
        vocoder.decode(random_table().codes([1]), random_table())


def test_names_a_missing_file(vocoder: Vocoder, tmp_path: Path) -> None:
    vocoder.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors\b.*missing"):
        Vocoder.from_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"^\S*config\.json\b.*missing.*wordless run\b"):
        Vocoder.from_pretrained(tmp_path / "nowhere")
    vocoder.save_pretrained(tmp_path / "run/vocoder")
    with pytest.raises(InputError, match=r"config\.json\b.*missing.* \S*run/vocoder$"):
        Vocoder.from_pretrained(tmp_path / "run")


@pytest.mark.parametrize("name", ["voicing", "octaves"])
@pytest.mark.parametrize("numbers", [[], [0.5], [0.5] * 40, [0.5] * 42, ["a"] * 41, [1e300] * 41, None, [None] * 41])
def test_a_damaged_voice_is_refused_in_one_line(tmp_path: Path, name: str, numbers: object) -> None:
    inputs = 1 + 2 * tiny_config().n_mels
    assert inputs == 41
    head = VoiceHead(voicing=(0.5,) * inputs, octaves=(0.1,) * inputs)
    Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", voice=head).save_pretrained(tmp_path)
    assert "pitch comb: yes" in (tmp_path / "README.md").read_text()
    assert Vocoder.from_pretrained(tmp_path).voice == head
    saved = json.loads((tmp_path / "config.json").read_text())
    saved["voice"][name] = numbers
    (tmp_path / "config.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=rf"damaged\b.*{name}") as caught:
        Vocoder.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_voice_at_a_rate_without_pitch_is_refused(tmp_path: Path) -> None:
    config = tiny_config(sample_rate=400)
    head = VoiceHead(voicing=(0.5,) * 41, octaves=(0.1,) * 41)
    Vocoder(create_wavenet(config, seed=0), "tok-1", voice=head).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"damaged\b.*voice\b.*400 Hz"):
        Vocoder.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "change", [{"layers": 8}, {"layers": "many"}, {"colour": 1}, {"groups": None}, {"skip_channels": 7}]
)
def test_names_a_changed_config(vocoder: Vocoder, tmp_path: Path, change: dict[str, object]) -> None:
    vocoder.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    saved["wavenet"].update(change)
    (tmp_path / "config.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"damaged\b.*config\.json"):
        Vocoder.from_pretrained(tmp_path)


def test_goes_on_from_samples_of_any_kind_and_rate_as_from_a_waveform(vocoder: Vocoder) -> None:
    table = random_table()
    codes = table.codes([1, 2, 3])
    heard = vocoder.decode(codes, table, seed=4).samples[:SAMPLES_PER_CODE]
    expected = vocoder.continue_from(Waveform(samples=heard, sample_rate=8000), codes, table, seed=4)
    for given in (heard, heard.astype(np.float64), heard.tolist(), torch.from_numpy(heard)):
        assert np.array_equal(vocoder.continue_from(given, codes, table, seed=4).samples, expected.samples)
    for wrong in (heard * np.nan, ["a"], codes):
        with pytest.raises(InputError, match="prompt"):
            vocoder.continue_from(wrong, codes, table)  # type: ignore[arg-type]  # what callers give all the same
    with pytest.raises(InputError, match=r"codes\b.*ndarray\b.*Codes\b"):
        vocoder.decode(codes.values, table)  # type: ignore[arg-type]
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2 * SAMPLES_PER_CODE)).astype(np.float32)
    recording = resampled(as_waveform(stereo, 16_000), 8000)
    assert len(recording.samples) == SAMPLES_PER_CODE
    expected = vocoder.continue_from(recording, codes, table, seed=4).samples
    assert len(expected) == 2 * SAMPLES_PER_CODE
    assert np.array_equal(vocoder.continue_from(stereo, codes, table, sample_rate=16_000, seed=4).samples, expected)
    assert np.array_equal(
        vocoder.continue_from(recording.samples, codes, table, sample_rate=8000, seed=4).samples, expected
    )
    with pytest.raises(InputError, match=r"sample_rate\b.*\b0\b"):
        vocoder.continue_from(stereo, codes, table, sample_rate=0)


def test_goes_on_from_a_sound_without_the_sound_itself_if_the_prompt_fits(vocoder: Vocoder) -> None:
    table = random_table()
    codes = table.codes([1, 2, 3])
    vocoder.postfilter = 0  # it leaves the beginning of what is new as it is
    whole = vocoder.decode(codes, table, seed=4)
    heard = Waveform(samples=whole.samples[: SAMPLES_PER_CODE + 21], sample_rate=8000)
    more = vocoder.continue_from(heard, codes, table, seed=4)
    assert np.array_equal(more.samples, whole.samples[len(heard.samples) :])  # as if it had never stopped
    long = Waveform(samples=np.zeros(2 * SAMPLES_PER_CODE + 1, np.float32), sample_rate=8000)
    with pytest.raises(InputError, match=r"prompt\b.*\b321 samples\b.*\b320\b"):
        vocoder.continue_from(long, table.codes([1, 2]), table)
    with pytest.raises(InputError, match=r"prompt\b.*\b16000 Hz"):
        vocoder.continue_from(replace(long, sample_rate=16_000), table.codes([1, 2, 3]), table)


@pytest.mark.parametrize("size", [1, 7, 50, 200])
@pytest.mark.parametrize("count", [0, 1, 31, 97])  # chunks hold 32 codes
def test_a_stream_equals_the_whole(vocoder: Vocoder, size: int, count: int) -> None:
    table = random_table()
    codes = table.codes([code % 12 for code in range(count)], max(count * SAMPLES_PER_CODE - 37, 0))
    blocks = [codes.crop(start, start + size) for start in range(0, count, size)]
    pieces = list(vocoder.stream(iter(blocks), table, Sampling(group="george", seed=3)))
    whole = vocoder.decode(codes, table, group="george", seed=3)
    assert np.array_equal(np.concatenate([np.zeros(0, np.float32), *(p.samples for p in pieces)]), whole.samples)


@pytest.mark.parametrize("num_samples", [5040, 5041, 5120, 5121])  # the first chunk's 64 frames end at 5120
def test_a_stream_equals_the_whole_where_a_chunk_ends_within_a_code(num_samples: int) -> None:
    vocoder = Vocoder(create_wavenet(tiny_config(patch_frames=3), seed=0), "tok-1")
    table = Table(torch.randn(12, 3, SPECTROGRAM.n_mels, generator=torch.Generator().manual_seed(0)))
    codes = table.codes([code % 12 for code in range(22 if num_samples > 5040 else 21)], num_samples)
    pieces = [piece.samples for piece in vocoder.stream([codes], table)]
    assert all(len(piece) for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), vocoder.decode(codes, table).samples)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_decodes_on_a_gpu() -> None:
    table = random_table()
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0).cuda(), "tok-1")
    codes = [table.codes([1, 2]), table.codes([])]
    assert [len(sound.samples) for sound in vocoder.decode_batch(codes, table)] == [2 * SAMPLES_PER_CODE, 0]


def test_a_stream_says_what_it_can_before_all_codes_are_there_and_nothing_after_an_end(vocoder: Vocoder) -> None:
    table = random_table()
    given: list[int] = []

    def blocks() -> Iterator[Codes]:
        for number in range(12):
            given.append(number)
            yield table.codes([1] * 10)

    vocoder.postfilter_passes = 1
    first = next(iter(vocoder.stream(blocks(), table)))
    assert len(first.samples) == 32 * SAMPLES_PER_CODE - SPECTROGRAM.left_context  # what later frames change waits
    assert len(given) < 12
    ended = [table.codes([1, 2], 2 * SAMPLES_PER_CODE - 1), table.codes([3])]
    with pytest.raises(InputError, match=r"\b319\b.*\b160\b"):
        list(vocoder.stream(ended, table))
