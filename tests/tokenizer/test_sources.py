"""The stream of pitch and codes of a speech model's layer: what they stand for, and that they go through files."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import HubertModel

from pipelines.jobs.speaking import flattened, transplanted
from tests.reference import nearest_by_distance, states_by_window, tracked_pitch
from tests.tokenizer.conftest import PITCH, RATE, SPEECH_RATE, change_config, like, speech, speech_tokenizer
from tests.wordless.audio.speech_models.checkpoints import FIELD, STRIDE
from tokenizer.frame_sample import draw_sample
from tokenizer.health import frequencies_of_codes
from tokenizer.speech_layer import FOLDER, SpeechTokenizer
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import SpeechLayerConfig
from wordless.audio import speech_models as reading
from wordless.audio.reading import resample_blocks
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError


def voice(seconds: float, hertz: float = 150.0) -> FloatArray:
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(0.1 / n * np.sin(2 * np.pi * n * hertz * time) for n in range(1, 9))
    noise = np.random.default_rng(0).normal(0, 0.05, (2, RATE // 10))
    return np.concatenate([noise[0], tone, noise[1]]).astype(np.float32)


@pytest.fixture(scope="module", params=["tokenizer", "banded"])
def plain(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def pitched(plain: Tokenizer) -> Tokenizer:
    return like(plain, replace(plain.config, pitch=PITCH))


def test_codes_are_the_nearest_of_equal_steps() -> None:
    hertz = np.array([np.nan, 20.0, 100.0, 141.4, 158.0, 200.0, 390.0])
    assert PITCH.quantise(np.log2(hertz)).tolist() == [0, 1, 1, 4, 5, 7, 7]
    np.testing.assert_array_equal(PITCH.quantise(PITCH.octaves), np.arange(8))


def test_the_stream_is_the_pitch_of_each_patch(plain: Tokenizer, pitched: Tokenizer) -> None:
    samples = voice(0.2)[:-50]
    codes, frames = pitched.encode(samples, RATE), pitched.patch_frames
    np.testing.assert_array_equal(codes.values[:, :-1], plain.encode(samples, RATE).values)
    hops = tracked_pitch(samples, RATE, pitched.front_end.hop_length)
    for step, code in enumerate(codes.values[:, -1].tolist()):
        own = hops[step * frames : (step + 1) * frames]
        voiced = [each for each in own if not np.isnan(each)]
        nearest = [abs(float(np.mean(voiced)) - octaves) for octaves in PITCH.octaves[1:]] if voiced else []
        assert code == (1 + int(np.argmin(nearest)) if 2 * len(voiced) >= frames else 0)
    assert 0 < (codes.values[:, -1] > 0).mean() < 1


def test_the_spectrum_is_coded_and_decoded_alike_with_and_without_pitch(plain: Tokenizer, pitched: Tokenizer) -> None:
    """So that one vocoder serves both."""
    assert pitched.format.tokenizer == plain.format.tokenizer
    assert pitched.format.codebook != plain.format.codebook
    assert pitched.format.bits_per_second == plain.format.bits_per_second
    sounds = [voice(0.3), voice(0.5, 120.0), voice(0.2)[:0]]
    whole, without = ([pitched.encode_own([each], side_streams=which) for each in sounds] for which in (True, False))
    for sound, own, spectral in zip(sounds, whole, without, strict=True):
        assert own == pitched.encode_blocks([sound], RATE)
        np.testing.assert_array_equal(spectral.values, plain.encode_blocks([sound], RATE).values)
        assert spectral.format == pitched.format.spectral == own.spectral.format
    values = torch.from_numpy(whole[0].values)[None]
    assert torch.equal(pitched.spectrogram(values), plain.spectrogram(values[..., :-1]))
    assert frequencies_of_codes(whole[:1], len(pitched.centroids)).sum() == values[..., :-1].numel()


def test_a_melody_is_flat_or_that_of_another_recording(pitched: Tokenizer) -> None:
    own, other = pitched.encode(voice(0.4), RATE), pitched.encode(voice(0.7, 120.0), RATE)
    voiced = own.values[:, -1] > 0
    flat, copied = flattened(own), transplanted(own, other)
    for made in (flat, copied):
        np.testing.assert_array_equal(made.values[:, :-1], own.values[:, :-1])
        np.testing.assert_array_equal(made.values[:, -1] > 0, voiced)
    assert {*flat.values[voiced, -1].tolist()} == {int(np.rint(np.median(own.values[voiced, -1])))}
    inner = slice(int(voiced.argmax()) + 3, len(voiced) - int(voiced[::-1].argmax()) - 3)
    hertz = 2 ** PITCH.octaves[copied.values[inner, -1]]
    assert np.abs(hertz - 120).max() < 10
    silent = replace(own, values=own.values * np.array([1] * (own.values.shape[1] - 1) + [0], np.int32))
    assert transplanted(own, silent) is own
    assert flattened(silent) is silent


SOUND = speech()


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> SpeechTokenizer:
    return speech_tokenizer(tmp_path_factory.mktemp("hubert"))


@pytest.mark.parametrize("layer", [1, 3])
def test_a_code_is_the_nearest_centroid_of_the_state_of_its_own_window(
    layer: int, speaking: SpeechTokenizer, tmp_path: Path
) -> None:
    """Each window is cut out of the samples, and the model is the whole one, as transformers loads it."""
    own = speech_tokenizer(tmp_path, layer=layer)
    model = HubertModel.from_pretrained(tmp_path, use_safetensors=True).eval()
    samples = torch.from_numpy(SOUND)
    normalised = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
    with torch.no_grad():
        wanted = states_by_window(model, normalised, layer=layer, field=FIELD, stride=STRIDE)
    found = own.vectors(SOUND)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=2e-5, rtol=1e-4)
    codes = own.encode(SOUND, SPEECH_RATE)
    assert (len(codes.values), codes.num_samples, codes.format.samples_per_code) == (200, len(SOUND), STRIDE)
    assert codes.values[:, 0].tolist() == nearest_by_distance(found, own.centroids.numpy()).tolist()
    assert len(np.unique(codes.values)) > 4
    assert own.format.tokenizer != speaking.format.tokenizer  # of another layer


def test_a_speech_model_is_copied_whole(speaking: SpeechTokenizer, tmp_path: Path) -> None:
    speaking.save_pretrained(tmp_path / "tokenizer")
    again = Tokenizer.from_pretrained(tmp_path / "tokenizer")
    assert np.array_equal(again.encode(SOUND, SPEECH_RATE).values, speaking.encode(SOUND, SPEECH_RATE).values)
    assert again.format == speaking.format


def test_codes_are_the_same_however_the_sound_arrives(
    speaking: SpeechTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_FRAMES", 64)  # four pieces
    codes = speaking.encode(SOUND, SPEECH_RATE)
    for cuts in ([], [1], [79, 80, 5000]):
        assert speaking.encode_blocks(np.split(SOUND, cuts), SPEECH_RATE) == codes
    soundfile.write(tmp_path / "a.wav", SOUND, SPEECH_RATE, subtype="FLOAT")
    assert speaking.encode_file(tmp_path / "a.wav") == codes
    streamed = speaking.encode_stream(resample_blocks([SOUND], SPEECH_RATE, SPEECH_RATE))
    assert [covered for _, covered in streamed] == [50 * STRIDE] * 3 + [50 * STRIDE - 17 % STRIDE]
    for samples, count in ((0, 0), (1, 1), (STRIDE, 1), (STRIDE + 1, 2)):
        assert len(speaking.encode(SOUND[:samples], SPEECH_RATE)) == count


def test_codes_have_a_spectrogram_and_vectors_have_codes(speaking: SpeechTokenizer) -> None:
    codes = torch.from_numpy(speaking.encode(SOUND, SPEECH_RATE).values)
    assert speaking.spectrogram(codes[None]).shape == (1, 2 * len(codes), 16)
    _, vectors = speaking.signals_of(SOUND)
    assert vectors.shape == (1, len(SOUND) // STRIDE, 1, 32)
    assert torch.equal(speaking.nearest(vectors)[0], codes[: vectors.shape[1]])
    with pytest.raises(InputError, match=r"samples.*spectrograms"):
        speaking.encode_spectrogram(torch.zeros(4, 16))


def test_the_sample_pairs_states_with_their_own_frames() -> None:
    times = torch.arange(7.0)
    clip = (torch.stack([times, 10 * times], dim=1), times[:3, None])  # the seventh frame belongs to no whole code
    drawn = draw_sample([clip, clip], frames=2, n_mels=2, width=1, capacity=100, seed=0)
    assert drawn.states is not None
    assert drawn.states[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert drawn.columns[1].tolist() == [[2, 20], [3, 30]]
    assert drawn.mean.tolist() == [3, 30]
    assert drawn.seen == 6


def test_layers_and_time_steps_that_do_not_fit_are_refused(tmp_path: Path, speaking: SpeechTokenizer) -> None:
    with pytest.raises(InputError, match=r"^layer\b.*\b0\b.*\b1\b"):
        SpeechLayerConfig(layer=0, model="HuBERT", files="")
    with pytest.raises(InputError, match=r"speech_layer\.layer\b.*\b4\b.*wav2vec2\.weights=.*\b3 layers"):
        speech_tokenizer(tmp_path, layer=4)
    longer = replace(speaking.config, patch=replace(speaking.config.patch, frames=2 * speaking.patch_frames))
    parts = (speaking.mean, speaking.std, speaking.autoencoder, speaking.centroids)
    with pytest.raises(InputError, match=r"\b32 dimensions\b.*\b80 samples.*\b160 samples"):
        SpeechTokenizer(longer, *parts, layer=speaking.layer)


def test_a_changed_or_missing_model_is_refused(tmp_path: Path) -> None:
    speech_tokenizer(tmp_path / "weights").save_pretrained(tmp_path / "tokenizer")
    change_config(tmp_path / "tokenizer" / FOLDER, layer_norm_eps=0.1)
    with pytest.raises(InputError, match="speech model"):
        Tokenizer.from_pretrained(tmp_path / "tokenizer")
    shutil.rmtree(tmp_path / "tokenizer" / FOLDER)
    with pytest.raises(InputError, match="speech model"):
        Tokenizer.from_pretrained(tmp_path / "tokenizer")
