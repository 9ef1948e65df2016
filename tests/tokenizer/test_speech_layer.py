"""Codes of a speech model's layer: which samples they stand for, and a folder that needs nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import HubertModel

from pipelines.publishing.hub import linked, model_files
from tests.reference import nearest_by_level, states_by_window
from tests.tokenizer.speech import RATE, speech, speech_tokenizer
from tests.wordless.audio.speech_models.checkpoints import FIELD, KINDS, STRIDE, save_checkpoint
from tokenizer.encoder import quantised_vectors
from tokenizer.fitting import draw_states
from tokenizer.sources import FOLDER, SpeechLayerConfig
from tokenizer.tokenizer import Tokenizer
from wordless.audio import speech_models as reading
from wordless.audio.reading import resample_blocks
from wordless.audio.speech_models import load_speech_encoder
from wordless.base.errors import InputError
from wordless.base.saved_models import CONFIG, PREPROCESSOR, WEIGHTS

SOUND = speech()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return speech_tokenizer(tmp_path_factory.mktemp("hubert"))


@pytest.mark.parametrize("layer", [1, 3])
def test_a_code_is_the_nearest_centroid_of_the_state_of_its_own_window(layer: int, tmp_path: Path) -> None:
    """Each window is cut out of the samples, and the model is the whole one, as transformers loads it."""
    tokenizer = speech_tokenizer(tmp_path, layer=layer, levels=2)
    model = HubertModel.from_pretrained(tmp_path, use_safetensors=True).eval()
    samples = torch.from_numpy(SOUND)
    normalised = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
    with torch.no_grad():
        wanted = states_by_window(model, normalised, layer=layer, field=FIELD, stride=STRIDE)
    found = quantised_vectors(tokenizer, SOUND)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=2e-5, rtol=1e-4)
    codes = tokenizer.encode(SOUND, RATE)
    assert (len(codes.values), codes.num_samples, codes.format.samples_per_code) == (200, len(SOUND), STRIDE)
    assert codes.values.tolist() == [nearest_by_level(state, tokenizer.codebooks.numpy()) for state in found]
    assert len(np.unique(codes.values)) > 4


def test_a_speech_model_in_shards_gives_the_same_codes_and_is_copied_whole(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    sharded = speech_tokenizer(tmp_path / "weights", shards=2)
    sharded.save_pretrained(tmp_path / "run/tokenizer")
    shutil.rmtree(tmp_path / "weights")
    again = Tokenizer.from_pretrained(tmp_path / "run/tokenizer")
    assert np.array_equal(again.encode(SOUND, RATE).values, tokenizer.encode(SOUND, RATE).values)
    published = model_files(tmp_path / "run", ["tokenizer"])
    with linked(published) as folder:
        Tokenizer.from_pretrained(folder / "tokenizer")


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_left_out_change_no_state(kind: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, kind)
    whole = load_speech_encoder(tmp_path, option="weights")
    for layer, kept in ((1, 2), (2, 3), (3, 3)):
        own = load_speech_encoder(tmp_path, option="weights", last_layer=layer)
        assert own.layers == kept
        with torch.no_grad():
            few, all_of_them = (next(each.pieces(SOUND, [layer], frames=150)) for each in (own, whole))
        assert torch.equal(few, all_of_them)


def test_codes_are_the_same_however_the_sound_arrives(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_FRAMES", 64)  # four pieces
    codes = tokenizer.encode(SOUND, RATE)
    for cuts in ([], [1], [79, 80, 5000]):
        assert np.array_equal(tokenizer.encode_blocks(np.split(SOUND, cuts), RATE).values, codes.values)
    soundfile.write(tmp_path / "a.wav", SOUND, RATE, subtype="FLOAT")
    assert np.array_equal(tokenizer.encode_file(tmp_path / "a.wav").values, codes.values)
    assert [covered for _, covered in tokenizer.encode_stream(resample_blocks([SOUND], RATE, RATE))] == [
        *(50 * STRIDE for _ in range(3)),
        50 * STRIDE - 17 % STRIDE,
    ]


@pytest.mark.parametrize(("samples", "codes"), [(0, 0), (1, 1), (STRIDE, 1), (STRIDE + 1, 2)])
def test_short_recordings_have_codes_too(tokenizer: Tokenizer, samples: int, codes: int) -> None:
    assert len(tokenizer.encode(SOUND[:samples], RATE).values) == codes


def test_codes_have_a_spectrogram_and_vectors_have_codes(tokenizer: Tokenizer) -> None:
    codes = torch.from_numpy(tokenizer.encode(SOUND, RATE).values)
    assert tokenizer.spectrogram(codes[None]).shape == (1, 2 * len(codes), 16)
    vectors = tokenizer.bottlenecks_of(SOUND)
    assert vectors.shape == (1, len(SOUND) // STRIDE, 1, 32)
    assert torch.equal(tokenizer.nearest(vectors)[0], codes[: vectors.shape[1]])
    with pytest.raises(InputError, match=r"samples.*spectrograms"):
        tokenizer.encode_spectrogram(torch.zeros(4, 16))


def test_the_sample_pairs_states_with_their_own_frames() -> None:
    times = torch.arange(7.0)
    clip = (times[:3, None], torch.stack([times, 10 * times], dim=1))  # the seventh frame belongs to no whole code
    drawn = draw_states([clip, clip], frames=2, n_mels=2, width=1, capacity=100, seed=0)
    assert drawn.states is not None
    assert drawn.states[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert drawn.columns[1].tolist() == [[2, 20], [3, 30]]
    assert drawn.mean.tolist() == [3, 30]
    assert drawn.seen == 6


def test_a_folder_needs_no_other(tmp_path: Path) -> None:
    made = speech_tokenizer(tmp_path / "weights")
    made.save_pretrained(tmp_path / "tokenizer")
    for name in (CONFIG, WEIGHTS, PREPROCESSOR):
        assert (tmp_path / "tokenizer" / FOLDER / name).read_bytes() == (tmp_path / "weights" / name).read_bytes()
    shutil.rmtree(tmp_path / "weights")
    loaded = Tokenizer.from_pretrained(tmp_path / "tokenizer")
    assert loaded.format == made.format
    assert np.array_equal(loaded.encode(SOUND, RATE).values, made.encode(SOUND, RATE).values)
    assert "layer 2 of HuBERT" in (tmp_path / "tokenizer/README.md").read_text()
    loaded.save_pretrained(tmp_path / "again")
    assert Tokenizer.from_pretrained(tmp_path / "again").format == made.format


def test_a_layer_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^layer\b.*\b0\b.*\b1\b"):
        SpeechLayerConfig(layer=0, model="HuBERT", files="")
    with pytest.raises(InputError, match=r"speech_layer\.layer\b.*\b4\b.*wav2vec2\.weights=.*\b3 layers"):
        speech_tokenizer(tmp_path, layer=4)


def test_another_layer_or_model_is_another_tokenizer(tmp_path: Path) -> None:
    formats = [
        speech_tokenizer(tmp_path / f"{kind}{layer}", kind, layer=layer).format
        for kind, layer in (("hubert", 1), ("hubert", 2), ("wavlm", 2))
    ]
    assert len({each.tokenizer for each in formats}) == 3


def test_a_changed_or_missing_model_is_refused(tmp_path: Path) -> None:
    speech_tokenizer(tmp_path / "weights").save_pretrained(tmp_path / "tokenizer")
    config = tmp_path / "tokenizer" / FOLDER / CONFIG
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "layer_norm_eps": 0.1}))
    with pytest.raises(InputError, match="speech model"):
        Tokenizer.from_pretrained(tmp_path / "tokenizer")
    shutil.rmtree(tmp_path / "tokenizer" / FOLDER)
    with pytest.raises(InputError, match="speech model"):
        Tokenizer.from_pretrained(tmp_path / "tokenizer")


def test_another_time_step_is_refused(tokenizer: Tokenizer) -> None:
    assert tokenizer.speech_layer is not None
    with pytest.raises(InputError, match=r"\b32 dimensions\b.*\b80 samples"):
        tokenizer.speech_layer.require(samples_per_code=160, width=32)
