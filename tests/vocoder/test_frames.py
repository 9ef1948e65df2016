import numpy as np
import pytest
import torch

from tests.vocoder.sounds import PATCH_FRAMES, SAMPLES_PER_CODE, SPECTROGRAM, Table, random_table, tiny_config
from tokenizer.codes import Codes
from vocoder.frames import code_frames, mean_level
from vocoder.options import WaveNetConfig
from vocoder.sampling import Sampling
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import create_wavenet
from wordless.base.errors import InputError

EMBEDDING = {"condition": "embedding", "codebook": "book-1", "codebook_size": 12, "streams": 1}
VALUES = torch.tensor([[[3], [0], [11]]])


def test_frames_are_what_the_codes_mean() -> None:
    table = random_table()
    assert torch.equal(code_frames(VALUES, table, tiny_config()), table.spectrogram(VALUES))


def test_position_stands_behind_each_frame() -> None:
    table = random_table()
    config = tiny_config(code_position=True)
    frames = code_frames(VALUES.expand(2, -1, -1), table, config)
    assert frames.shape == (2, 3 * PATCH_FRAMES, config.condition_inputs)
    assert torch.equal(frames[..., : SPECTROGRAM.n_mels], table.spectrogram(VALUES.expand(2, -1, -1)))
    assert frames[1, :, SPECTROGRAM.n_mels :].tolist() == [[1, 0], [0, 1]] * 3


def test_an_embedding_is_told_which_codes_they_are() -> None:
    frames = code_frames(VALUES, random_table(), tiny_config(**EMBEDDING))
    assert frames[0, :, 0].tolist() == [4, 4, 1, 1, 12, 12]


def test_an_embedding_knows_its_own_codebook_alone() -> None:
    with pytest.raises(InputError, match=r"\bbook-1\b.*\bbook-2\b"):
        code_frames(VALUES, random_table(codebook="book-2"), tiny_config(**EMBEDDING))
    with pytest.raises(InputError, match=r"codebook_size\b.*\b0\b"):
        create_wavenet(tiny_config(condition="embedding"), seed=0)


def test_level_of_what_is_meant_leaves_positions_out() -> None:
    frames = torch.full((4, SPECTROGRAM.n_mels + PATCH_FRAMES), -2.0)
    frames[:, SPECTROGRAM.n_mels :] = 100
    assert mean_level(frames, tiny_config(code_position=True)) == -2
    assert mean_level(torch.ones(4, 1), tiny_config(**EMBEDDING)) == 0


def test_streams_have_vectors_of_their_own() -> None:
    config = tiny_config(**EMBEDDING | {"streams": 2})
    conditions = create_wavenet(config, seed=0).conditions
    swapped = [conditions(torch.tensor([[codes] * 4], dtype=torch.float32)) for codes in ([1, 2], [2, 1])]
    assert not torch.allclose(*swapped)


@pytest.mark.parametrize("changes", [{"code_position": True}, EMBEDDING, {**EMBEDDING, "code_position": True}])
def test_a_clip_does_not_depend_on_what_is_beyond_its_end(changes: dict[str, object]) -> None:
    conditions = create_wavenet(tiny_config(**changes), seed=0).eval().conditions
    frames = code_frames(VALUES, random_table(), conditions.config)
    longer = torch.nn.functional.pad(frames, (0, 0, 0, 4))
    torch.testing.assert_close(conditions(longer)[:, : frames.shape[1]], conditions(frames))


@pytest.mark.parametrize("changes", [{"code_position": True}, EMBEDDING, {**EMBEDDING, "code_position": True}])
def test_a_vocoder_of_each_kind_speaks(changes: dict[str, object]) -> None:
    table = random_table()
    vocoder = Vocoder(loud(tiny_config(**changes)), "tok-1")
    codes = table.codes([1, 2, 3, 4, 5])
    sound = vocoder.decode(codes, table, seed=1)
    assert len(sound.samples) == 5 * SAMPLES_PER_CODE
    streamed = vocoder.stream(iter([codes.crop(0, 2), codes.crop(2, 5)]), table, Sampling(seed=1))
    np.testing.assert_array_equal(np.concatenate([each.samples for each in streamed]), sound.samples)


def loud(config: WaveNetConfig) -> torch.nn.Module:
    """A network whose levels depend on what it is told."""
    model = create_wavenet(config, seed=0)
    torch.nn.init.normal_(model.output.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    return model


def test_an_embedding_decodes_other_codes_to_other_sound() -> None:
    table = random_table()
    vocoder = Vocoder(loud(tiny_config(**EMBEDDING)), "tok-1")
    one, other = (vocoder.decode(table.codes([code] * 4), table, seed=1).samples for code in (0, 1))
    assert not np.array_equal(one, other)


def test_a_vocoder_of_an_embedding_refuses_other_codebooks() -> None:
    vocoder = Vocoder(loud(tiny_config(**EMBEDDING)), "tok-1")
    other: Table = random_table(codebook="book-2")
    codes: Codes = other.codes([1])
    with pytest.raises(InputError, match=r"\bbook-2\b"):
        vocoder.decode(codes, other)
