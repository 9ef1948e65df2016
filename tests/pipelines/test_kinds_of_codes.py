"""The whole chain with other codes: a speech model's layer, several rates, pitch."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lm.model import LanguageModel
from lm.pitch import PitchHead, WithStreams
from lm.rates import RatesModel, Upsampler
from pipelines.jobs.embedding import probe_run
from pipelines.stages.codebooks import PITCHES, frame_sample, pitches, sample_statistics
from pipelines.stages.stage_options import PitchConfig, TokenizerSettings
from pipelines.store.store import CachedArtifact
from tests.calling import decode, demo, embed, encode, generate, options_of, score
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import AUDIO, GPT, save_run, session_of, write_clip
from tests.pipelines.tiny_chain import OWN, artifacts, called_at_once, config_of, run
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from tokenizer.codes import PitchFormat
from tokenizer.parquet import CodedClip, read_codes, write_shard
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import Sampling
from wordless.audio.audio_options import Levelling
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Clips, read_manifest
from wordless.audio.spectrogram import frame_statistics
from wordless.base.messages import InputError

options = options_of("encode", "input", "output")


def test_codes_of_a_speech_model_are_learned_continued_and_decoded(tmp_path: Path) -> None:
    folder, weights = tmp_path / "run", tmp_path / "weights"
    save_checkpoint(weights, "hubert", sample_rate=8000)  # a state for each 80 samples, 10 ms
    words = ("tokenizer.features=wav2vec2", "tokenizer.feature_layer=2", "tokenizer.patch.frames=1")
    words = (*words, f"wav2vec2.weights={weights}")
    methods = "compare.methods=[log_mel,bag_of_codes,gpt,wav2vec2]"
    assert run(tmp_path / "store", folder, *words, methods) == 0
    recordings = next((tmp_path / "store/embedded").glob("embedded-*/"))
    encode(options(folder, recordings, tmp_path / "codes.parquet"))
    codes_format, clips = read_codes(tmp_path / "codes.parquet")
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    assert codes_format == tokenizer.format
    clip = next(clips)
    assert np.array_equal(tokenizer.encode_file(recordings / clip.path).values, clip.codes.values)
    given = {"model": str(folder), "input": str(recordings), "store": {"root": str(tmp_path / "store")}}
    with pytest.raises(InputError):  # a speech model has none
        embed({**given, "output": str(tmp_path / "vectors.npz"), "method": "bottleneck"})
    embed({**given, "output": str(tmp_path / "vectors.npz"), "method": "log_mel"})
    more = LanguageModel.from_pretrained(folder / "lm").generate(clip.codes, seconds=0.1)
    sound = Vocoder.from_pretrained(folder / "vocoder").decode(more, tokenizer)
    unlearned = create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).sounds([more], [None], names=["more"])
    for made in (sound, *unlearned):
        assert len(made.samples) == more.num_samples == 800
        assert np.isfinite(made.samples).all()


RATES = ("tokenizer.rates=[8,2]", "lm.gpt.layers=3", "lm.views.warps=1", "stages=[lm]")


@pytest.fixture(scope="module")
def trained(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two rates, beside its store, which has one of a single rate."""
    place = tmp_path_factory.mktemp("rates")
    assert run(shutil.copytree(finished_run.store, place / "store"), place / "run", *RATES) == 0
    return place / "run"


def test_a_gpt_of_the_coarsest_rate_and_an_upsampler(trained: Path) -> None:
    model = LanguageModel.from_pretrained(trained / "lm")
    assert model.format == Tokenizer.from_pretrained(trained / "tokenizer").format
    assert isinstance(model, RatesModel)
    assert [(each.gpt.config.layers, isinstance(each, Upsampler)) for each in model.rates] == [(2, False), (1, True)]
    made = Counter(path.parent.name for path in artifacts(trained.with_name("store")))
    wanted = {"lm": 2, "upsampler": 1, "rate_lm": 1, "views": 3}  # one of the models is the finished run's
    assert {stage: made[stage] for stage in wanted} == wanted


@pytest.mark.parametrize("command", ["encode", "embed", "score", "probe", "demo"])
def test_commands_that_read_codes_of_one_rate_refuse_several(command: str, trained: Path, tmp_path: Path) -> None:
    write_clip(tmp_path, "a.wav", np.zeros(800, np.float32))
    own = {"model": str(trained), "store": {"root": str(tmp_path / "store")}}
    place = {"input": str(tmp_path / "a.wav"), "output": str(tmp_path / "out")}
    calls: dict[str, Callable[[], object]] = {
        "encode": lambda: encode(options(trained, tmp_path / "a.wav", tmp_path / "codes.parquet")),
        "embed": lambda: embed({**own, **place, "output": str(tmp_path / "x.npz")}),
        "score": lambda: score({"model": str(trained), **place, "output": str(tmp_path / "x.tsv")}),
        "probe": lambda: probe_run(config_of("probe", f"model={trained}")),
        "demo": lambda: demo({"model": str(trained)}),
    }
    with pytest.raises(InputError, match=r"model is .*several rates.*tokenizer\.rates=null"):
        calls[command]()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_finished_run_is_probed_and_the_user_is_told_which_test_clips_it_was_trained_on(
    finished_run: FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = read_manifest(finished_run.folder / "manifest.tsv", tmp_path).of("train")[0].group
    place = [f"model={finished_run.folder}", f"store.root={tmp_path / 'store'}", f"output={tmp_path / 'probe.json'}"]
    corpus = ["embedded.voices=5", "embedded.words=2", "embedded.repetitions=2"]
    corpus += ["corpus.split.by=group", f"corpus.split.test=['{group}']"]
    probing = ["probe.resamples=10", "probe.learning_curve=[]", "device=cpu", "workers=1"]
    probe_run(config_of("probe", *place, *corpus, *probing))
    rows = json.loads((tmp_path / "probe.json").read_text())["methods"]
    assert {row["of"] for row in rows} == {"log_mel", "bottleneck", "bag_of_codes", "gpt"}
    assert re.search(r"[1-9]\d* of \d+ test clips are among", " ".join(capsys.readouterr().err.split()))


@pytest.mark.slow
def test_codes_language_model_and_vocoder_have_pitch_and_level(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "run"
    streams = ("tokenizer.patch.mels=20", "lm.gpt.interleaving=parallel", "tokenizer.level=true")
    assert run(store, folder, "tokenizer.pitch.levels=8", *streams, "stages=[tokenizer,lm,vocoder]") == 0
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    pitch, level = tokenizer.format.pitch, tokenizer.format.level
    assert pitch is not None
    assert level is not None
    assert (pitch.levels, tokenizer.format.streams) == (8, 4)  # two bands, and both
    assert 60 <= pitch.lowest < pitch.highest < 420
    coded = [read_codes(path.parent) for path in store.glob("codes/*/complete.json")]
    (clips,) = (clips for format, clips in coded if format == tokenizer.format)
    values = np.concatenate([clip.codes.values for clip in clips])
    assert len(np.unique(values[:, -1])) > 4
    model, vocoder = LanguageModel.from_pretrained(folder / "lm"), Vocoder.from_pretrained(folder / "vocoder")
    more = model.generate(seconds=0.3)
    assert isinstance(model, WithStreams)
    assert model.pitch != PitchHead.silent(model.gpt.config.model_dim)
    assert more.format == tokenizer.format
    assert {*more.side_stream(level).tolist()} == {level.unknown}
    assert len(vocoder.decode(more, tokenizer).samples) == more.num_samples
    sound = read(next(store.glob("embedded/*/*.wav")), tokenizer.format.sample_rate).samples
    one, other = (tokenizer.encode(each, tokenizer.format.sample_rate) for each in (sound, sound / 4))
    assert (one.spectral.values == other.spectral.values).mean() >= 0.99
    assert np.median(other.side_stream(level) - one.side_stream(level)) == pytest.approx(-12, abs=1)


def test_codes_of_a_folder_stay_where_its_sound_is_softer(tmp_path: Path) -> None:
    """Without a word of the user: the default of recordings that are not built in."""
    (root := tmp_path / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for number, gain in enumerate(np.geomspace(0.02, 0.5, 10)):
        soundfile.write(root / f"{number}.wav", gain * rng.uniform(-1, 1, 8000), 8000)
    words = (*OWN, "stages=[tokenizer]", f"corpus.root={root}", f"store.root={tmp_path / 'store'}")
    assert called_at_once(tmp_path, *words).returncode == 0
    tokenizer = Tokenizer.from_pretrained(tmp_path / "run/tokenizer")
    sound = read(root / "9.wav", 8000).samples
    one, other = (tokenizer.encode(each, 8000) for each in (sound, sound / 4))
    assert (one.spectral.values == other.spectral.values).mean() >= 0.99
    assert tokenizer.format.level is not None
    change = other.side_stream(tokenizer.format.level) - one.side_stream(tokenizer.format.level)
    assert np.median(change) == pytest.approx(-12, abs=1)


def test_networks_of_log_mel_have_the_same_statistics_with_a_level(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 8000)) * [[1.0], [0.1], [0.02], [0.5]]
    clips = [write_clip(tmp_path, f"{number}.wav", each, split="train") for number, each in enumerate(noise)]
    manifest, session = Clips.from_rows(tmp_path, clips), session_of(tmp_path)
    samples = list[CachedArtifact]()
    for level in (False, True):
        settings = TokenizerSettings(level=level, codebook_size=8, sample_patches=100)
        samples.append(frame_sample(session, manifest, settings.front_end(AUDIO), settings))
    plain, levelled = map(sample_statistics, samples)
    assert plain.key == levelled.key
    assert samples[0].key != samples[1].key
    torch.testing.assert_close(frame_statistics(plain.folder), frame_statistics(levelled.folder), rtol=0, atol=0)


# a voice of 150 Hz, of one second
VOICE = sum(0.1 * np.sin(2 * np.pi * n * 150 * np.arange(4000) / 4000) for n in range(1, 9))


@pytest.mark.parametrize("voiced", [0, 4, 10])
def test_recordings_with_few_voices_have_no_pitch(
    voiced: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten recordings are noise, of which some begin with as long a voice."""
    clips, noise = list[Clip](), np.random.default_rng(0).normal(0, 0.1, (10, 8000))
    for number, samples in enumerate(noise):
        samples[:4000] = VOICE if number < voiced else samples[:4000]
        clips.append(write_clip(tmp_path, f"{number}.wav", samples))
    settings = TokenizerSettings(pitch=PitchConfig(levels=8))
    found = pitches(session_of(tmp_path), Clips.from_rows(tmp_path, clips), AUDIO, settings)
    if found is None:
        assert voiced < 10
        assert f"{voiced * 5}%" in capsys.readouterr().err
    else:
        assert voiced == 10
        assert float(str(found.read_json(PITCHES)["voiced"])) == pytest.approx(0.5, abs=0.03)


@pytest.fixture(params=[None, Levelling(frames=2)], ids=["pitch", "pitch and level"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run whose tokenizer, language model and vocoder have random weights, and whose codes have pitches, or both."""
    model = save_run(tmp_path / "model", seed=0)
    plain = Tokenizer.from_pretrained(model / "tokenizer")
    audio, pitch = replace(AUDIO, levelling=request.param), PitchFormat(levels=8, lowest=80.0, highest=240.0)
    config = replace(plain.config, audio=audio, pitch=pitch)
    absolute = None if request.param is None else torch.stack([plain.mean - 2, plain.std])
    parts = plain.mean, plain.std, plain.autoencoder, plain.centroids
    tokenizer = Tokenizer(config, *parts, absolute=absolute)
    tokenizer.save_pretrained(model / "tokenizer")
    gpt = replace(GPT, interleaving="parallel")
    LanguageModel.create(gpt, tokenizer.format, seed=0).save_pretrained(model / "lm")
    vocoder = Vocoder.from_pretrained(model / "vocoder")
    vocoder.tokenizer = tokenizer.format.tokenizer
    vocoder.save_pretrained(model / "vocoder")
    return model


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A recording of a voice."""
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in", "voice.wav", np.tile(VOICE, 2))
    return tmp_path / "in/voice.wav"


def test_all_commands_take_codes_with_pitch(model: Path, voice: Path, tmp_path: Path) -> None:
    given: dict[str, object] = {"model": str(model), "device": "cpu"}
    stored = {**given, "store": {"root": str(tmp_path / "store")}}
    recordings = {**stored, "input": str(voice.parent), "workers": 1}
    tokenizer = Tokenizer.from_pretrained(model / "tokenizer")
    codes, own = tmp_path / "codes.parquet", tokenizer.encode_file(voice)
    encode({**recordings, "output": str(codes)})
    (clip,) = read_codes(codes)[1]
    np.testing.assert_array_equal(clip.codes.values, own.values)
    assert (own.values[5:-5, -1] > 0).all()
    encode({**recordings, "output": str(tmp_path / "units.km")})
    decode({**stored, "input": str(tmp_path / "units.km"), "output": str(tmp_path / "units.wav")})
    assert len(read(tmp_path / "units.wav", 4000).samples) == len(own) * own.format.samples_per_code

    say: dict[str, object] = {**given, "prompt": str(voice), "seconds": 0.2, "num_samples": 1, "seed": 3}
    generate({**say, "output": str(tmp_path / "more")})
    (made,) = read_codes(tmp_path / "more/codes.parquet")[1]
    assert made.codes.format == own.format
    np.testing.assert_array_equal(made.codes.values[:50], own.values[:50])
    score({**given, "input": str(voice), "output": str(tmp_path / "scores.tsv"), "workers": 1})
    assert len((tmp_path / "scores.tsv").read_text().splitlines()) == 2
    for method in ("gpt", "bag_of_codes", "bottleneck"):
        embed({**recordings, "output": str(tmp_path / f"{method}.npz"), "method": method})


def test_decode_gives_codes_another_melody(model: Path, voice: Path, tmp_path: Path) -> None:
    tokenizer, codes = Tokenizer.from_pretrained(model / "tokenizer"), tmp_path / "codes.parquet"
    write_shard(codes, [CodedClip(path="a.wav", codes=tokenizer.encode_file(voice))], tokenizer.format)
    save_run(tmp_path / "other", seed=0)
    given = {"model": str(model), "input": str(codes), "device": "cpu", "store": {"root": str(tmp_path / "store")}}
    with pytest.raises(InputError, match="codebook"):
        decode({**given, "model": str(tmp_path / "other"), "output": str(tmp_path / "plain"), "shift": 2.0})
    new: list[dict[str, object]] = [{}, {"pitch": "flat"}, {"pitch": "copied", "pitch_of": str(voice)}, {"shift": 4.0}]
    for number, change in enumerate(new):
        decode({**given, **change, "output": str(tmp_path / f"{number}")})
    made = [(tmp_path / f"{number}" / "a.wav").read_bytes() for number in range(len(new))]
    assert made[0] == made[2] != made[3]  # its own melody, and a higher one
    mute: list[dict[str, object]] = [{"shift": 1.0, "pitch_comb": False}, {"shift": 1.0, "synthesis": "griffin_lim"}]
    for wrong in ({"pitch": "copied"}, {"pitch_of": str(voice)}, {"shift": 25.0}, *mute):
        with pytest.raises(InputError, match=r"pitch|shift"):
            decode({**given, **wrong, "output": str(tmp_path / "wrong")})
