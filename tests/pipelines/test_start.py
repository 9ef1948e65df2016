"""Runs that begin with models of an earlier run: its tokenizer, and the weights of its language model and vocoder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lm.model import LanguageModel
from pipelines.jobs.clips_of_run import MANIFEST, notices_of_starts, voice_notices
from pipelines.jobs.run_rules import run_settings
from pipelines.results.run_record import read_results
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import require_same_tokenizer
from pipelines.stages.language_model import begin_at, gpt_hash, require_same_gpt
from pipelines.stages.voices import (
    SHIPPED,
    begun_at,
    front_end_of,
    require_same_voice,
    saved_vocoder,
    shipped_voice,
    tokenizer_beside,
)
from pipelines.store.start_models import LM, TOKENS, VOICE, start_folder
from tests.benchmarks.shipped_voice import pack
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import AUDIO, GPT, save_rates_run, tiny_tokenizer
from tests.pipelines.tiny_chain import composed, run, stored
from tokenizer.tokenizer import Tokenizer
from vocoder.vocoder import Vocoder
from vocoder.wavenet import create_wavenet
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clips, read_manifest
from wordless.base.files import file_hash
from wordless.base.messages import InputError
from wordless.base.saved_models import LANGUAGE_MODEL, TOKENIZER

STAGES = "stages=[tokenizer,lm,report]"
SOUND = ("stages=[tokenizer,vocoder,report]", "listening.evaluated_clips=0", "tokenizer.codebook_size=16")


def damaged(run_folder: Path, **changes: object) -> str:
    """A copy of a run whose language model has another config; None: without the value."""
    folder = shutil.copytree(run_folder, run_folder.with_name("damaged"), dirs_exist_ok=True)
    config = json.loads((run_folder / "lm/config.json").read_text()) | changes
    (folder / "lm/config.json").write_text(json.dumps({key: value for key, value in config.items() if value != "gone"}))
    return str(folder)


def test_folders_without_the_model_or_its_hash_are_refused(run_folder: Path, tmp_path: Path) -> None:
    """A key would have the word None in the place of the hash."""
    for place in (tmp_path, tmp_path / "nowhere", run_folder / "vocoder"):
        with pytest.raises(InputError, match=LM):
            start_folder(str(place), LANGUAGE_MODEL, option=LM)
    with pytest.raises(InputError, match=TOKENS):
        start_folder(str(run_folder / "lm"), TOKENIZER, option=TOKENS)
    assert gpt_hash(str(run_folder)) == file_hash(run_folder / "lm/model.safetensors")
    for damage in ("gone", None):
        with pytest.raises(InputError, match="weights_sha256"):
            gpt_hash(damaged(run_folder, weights_sha256=damage))


def test_other_sizes_are_refused_with_the_options_that_mend_them(run_folder: Path) -> None:
    require_same_gpt(str(run_folder), replace(GPT, dropout=0.5), codebook_size=8)
    with pytest.raises(InputError, match=r"lm\.gpt\.layers=3\b.*lm\.gpt\.layers=1\b"):
        require_same_gpt(str(run_folder), replace(GPT, layers=3), codebook_size=8)
    with pytest.raises(InputError, match=r"tokenizer\.codebook_size=16\b.*tokenizer\.codebook_size=8\b"):
        require_same_gpt(str(run_folder), GPT, codebook_size=16)
    config = tiny_tokenizer(0).config
    require_same_tokenizer(str(run_folder), config)
    other = replace(config, codebook_size=9, audio=replace(AUDIO, f_min=20.0))
    words = r"add (?=.*audio\.f_min=0( |$))(?=.*tokenizer\.codebook_size=8( |$))"
    with pytest.raises(InputError, match=words):
        require_same_tokenizer(str(run_folder), other)
    with pytest.raises(InputError, match=r"lm\.gpt\.layers"):
        require_same_gpt(damaged(run_folder, gpt={"layers": "many"}), GPT, codebook_size=8)


def test_training_begins_with_the_weights(run_folder: Path, other_run: Path, tmp_path: Path) -> None:
    there = LanguageModel.from_pretrained(run_folder / "lm")
    model = LanguageModel.create(GPT, there.format, seed=5)
    begin_at(model, str(run_folder))
    own, other = model.gpt.state_dict(), there.gpt.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in own.items())
    model.save_pretrained(tmp_path / "lm")
    saved = LanguageModel.from_pretrained(tmp_path / "lm")
    assert saved.began_at == file_hash(run_folder / "lm/model.safetensors")
    assert saved.began_at[:16] in (tmp_path / "lm/README.md").read_text()
    with pytest.raises(InputError, match=TOKENS):  # the same sizes, and another codebook
        begin_at(model, str(other_run))


def test_options_that_a_start_has_no_use_for_are_refused(finished_run: FinishedRun, tmp_path: Path) -> None:
    start = finished_run.folder
    for words, option in (
        ((f"tokenizer.start='{start}'", "tokenizer.rates=[4,2]"), r"tokenizer\.rates"),
        ((*SOUND, f"vocoder.start='{start}'", "vocoder.wavenet.layers=4"), r"add vocoder\.wavenet\.layers=2"),
        ((*SOUND, f"vocoder.start='{start}'", "audio.hop_ms=5"), r"add audio\.hop_length=80"),
        ((*SOUND, f"vocoder.start='{start}'", "audio.remove_mean=clip"), r"add audio\.remove_mean=none"),
        ((*SOUND, "vocoder.fit.steps=0"), r"vocoder\.fit\.steps\b.*\baudio\.n_mels=64"),
        ((*SOUND, f"vocoder.start='{start}'", "vocoder.fit.steps=-1"), r"vocoder\.fit\.steps"),
        ((STAGES, "lm.fit.steps=0"), r"lm\.fit\.steps"),
    ):
        with pytest.raises(InputError, match=option):
            run_settings(composed(tmp_path, STAGES, *words))


def test_the_voice_of_a_run_of_several_rates_has_its_finest_tokenizer(tmp_path: Path) -> None:
    folder = save_rates_run(tmp_path / "rates", seed=0)
    assert tokenizer_beside(str(folder)) == folder / "tokenizer/rate_3"


def settings_of(store: Path, *words: str) -> RunSettings:
    return run_settings(composed(store, STAGES, *words))


def test_test_clips_that_the_first_model_has_heard_are_known(finished_run: FinishedRun, tmp_path: Path) -> None:
    """Test clips may be training clips of the run that it began with."""
    own, start = shutil.copytree(finished_run.folder, tmp_path / "own"), finished_run.folder
    manifest = read_manifest(start / MANIFEST, tmp_path)
    turned = manifest.only("train").with_columns(split="test")
    settings = settings_of(tmp_path, f"lm.start='{start}'")
    notices = [*notices_of_starts(turned, settings, own)]
    assert str(start) in notices[0]
    assert str(len(turned.clips)) in notices[1]
    with pytest.raises(InputError, match=LM):
        [*notices_of_starts(turned, settings, start)]
    again = settings_of(tmp_path, f"lm.start='{own}'")
    shutil.rmtree(own / "vocoder")
    (own / MANIFEST).unlink()
    assert any(MANIFEST in each for each in [*notices_of_starts(turned, again, start)])


@pytest.fixture(scope="module")
def store(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of their own for runs that add artifacts."""
    return shutil.copytree(finished_run.store, tmp_path_factory.mktemp("start") / "store")


def test_more_steps_begin_with_the_weights_of_the_run(finished_run: FinishedRun, store: Path, tmp_path: Path) -> None:
    words = (STAGES, "lm.fit.steps=6", "lm.fit.validate_every=3", f"lm.start='{finished_run.folder}'")
    before = stored(store)
    assert run(store, tmp_path / "run", *words) == 0
    assert {name.partition("/")[0] for name in stored(store).keys() - before.keys()} == {"lm"}
    began_at = file_hash(finished_run.folder / "lm/model.safetensors")
    assert json.loads((tmp_path / "run/lm/config.json").read_text())["began_at"] == began_at
    assert json.loads((tmp_path / "run/lm/entry.json").read_text())["arguments"]["start"] == began_at
    results = read_results(tmp_path / "run")
    assert any(began_at[:16] in notice for notice in results["corpus"]["notices"])
    assert [point["step"] for point in results["curves"]["lm"]["curve"]] == [3, 6]


def test_a_voice_is_refused_without_its_tokenizer_or_absolute_levels(run_folder: Path, tmp_path: Path) -> None:
    config = Vocoder.from_pretrained(run_folder / "vocoder").model.config
    require_same_voice(str(run_folder / "vocoder"), replace(config, groups=(), patch_frames=8), AUDIO)
    folder = shutil.copytree(run_folder, tmp_path / "voice")

    def refused(told: str, audio: SpectrogramConfig = AUDIO) -> None:
        with pytest.raises(InputError, match=told):
            require_same_voice(str(folder), config, audio)

    weights = (folder / "vocoder/model.safetensors").read_bytes()
    (folder / "vocoder/model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    refused(VOICE)
    tiny_tokenizer(5).save_pretrained(folder / "tokenizer")  # of another run
    refused(VOICE)
    shutil.rmtree(folder / "tokenizer")
    refused(VOICE)
    own = tiny_tokenizer(0)
    for changes, option in (({"remove_mean": "clip"}, "remove_mean"), ({"dynamic_range": 40.0}, "dynamic_range")):
        audio = replace(AUDIO, **changes)
        other = Tokenizer(replace(own.config, audio=audio), own.mean, own.std, own.autoencoder, own.centroids)
        other.save_pretrained(folder / "tokenizer")
        Vocoder(create_wavenet(config, seed=0), other.format.tokenizer).save_pretrained(folder / "vocoder")
        refused(option, audio)
    (folder / "vocoder/config.json").write_text('{"wavenet": {"layers": "many"}}')
    refused(VOICE)


@pytest.fixture(scope="module")
def packed(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vocoder of the finished run as start weights for every tokenizer."""
    output = tmp_path_factory.mktemp("packed") / "voice"
    pack(str(finished_run.folder), output)
    return output


def test_packed_weights_compute_what_the_vocoder_of_the_run_does_and_nothing_alone(
    finished_run: FinishedRun, packed: Path
) -> None:
    """They have no tokenizer, and fit one with other statistics as well as the vocoder that they were made of."""
    assert {path.name for path in packed.iterdir()} == {"config.json", "model.safetensors"}
    own = Tokenizer.from_pretrained(finished_run.folder / "tokenizer")
    config = replace(saved_vocoder(str(packed)).wavenet, groups=("anna", "ben"), patch_frames=own.patch_frames)
    other = Tokenizer(own.config, own.mean + 1, 2 * own.std, own.autoencoder, own.centroids, decoder=own.decoder)
    for tokenizer in (own, other):
        models = [begun_at(str(start), config, tokenizer, seed=0) for start in (packed, finished_run.folder)]
        for (name, value), wanted in zip(models[0].state_dict().items(), models[1].state_dict().values(), strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-5, msg=name)
    with pytest.raises(InputError, match=r"vocoder\.start"):
        Vocoder.from_pretrained(packed).require_tokenizer(own)


def test_shipped_weights_serve_the_front_end_and_sizes_that_they_were_made_with(packed: Path, tmp_path: Path) -> None:
    saved = saved_vocoder(str(packed))
    wavenet, audio = saved.wavenet, front_end_of(str(packed))
    shipped = tmp_path / "shipped"
    folder = Path(shutil.copytree(packed, shipped / f"{audio.sample_rate}"))
    for fit in (wavenet, replace(wavenet, groups=("anna",), patch_frames=8)):
        assert shipped_voice(fit, audio, shipped=shipped) == folder
    assert shipped_voice(wavenet, replace(audio, f_max=audio.sample_rate / 2), shipped=shipped) == folder
    for own, heard, word in (
        (replace(wavenet, layers=4), audio, "vocoder.wavenet.layers=4"),
        (wavenet, replace(audio, n_mels=20), "audio.n_mels=20"),
        (wavenet, replace(audio, window_length=audio.window_length + 2), "audio.window_length"),
        (wavenet, replace(audio, f_max=1000.0), "audio.f_max=1000"),
        (wavenet, replace(audio, remove_mean="clip"), "audio.remove_mean=clip"),
        (wavenet, replace(audio, dynamic_range=40.0), "audio.dynamic_range=40"),
        (wavenet, replace(audio, sample_rate=44_100), f"{audio.sample_rate:,} Hz"),
    ):
        reason = shipped_voice(own, heard, shipped=shipped)
        assert isinstance(reason, str)
        assert word in reason


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", None])
def test_damaged_shipped_weights_are_refused(packed: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    saved, audio = saved_vocoder(str(packed)), front_end_of(str(packed))
    folder = Path(shutil.copytree(packed, tmp_path / f"{audio.sample_rate}"))
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=r"^vocoder\.start=universal.*install"):
        shipped_voice(saved.wavenet, audio, shipped=tmp_path)


def test_the_number_of_steps_follows_from_the_weights(finished_run: FinishedRun, packed: Path, tmp_path: Path) -> None:
    """A run whose front end or sizes have no shipped weights says so, and random weights make no sound."""
    null = "vocoder.fit.steps=null"
    for start, steps in (("null", 300), ("none", 300), (f"'{packed}'", 300), ("universal", 300)):  # of tiny sizes
        settings = run_settings(composed(tmp_path, *SOUND, null, f"vocoder.start={start}"))
        assert settings.vocoder.fit.steps == steps
        assert (settings.vocoder.unfit is not None) == (start == "universal")
    with pytest.raises(InputError, match=r"^vocoder\.fit\.steps is 0.*random"):
        run_settings(composed(tmp_path, *SOUND, "vocoder.fit.steps=0", "vocoder.start=universal"))
    assert settings_of(tmp_path, null).vocoder.start is None  # without a vocoder
    nothing, settings = Clips.from_rows(tmp_path, ()), run_settings(composed(tmp_path, *SOUND))
    notices = notices_of_starts(nothing, settings, tmp_path)
    assert any("random" in each and "vocoder.start=universal" in each for each in notices)


SHIPPED_RATES = sorted(int(folder.name) for folder in SHIPPED.glob("[0-9]*"))
DEFAULT = ("vocoder=small", "vocoder.wavenet.layers=16", "vocoder.fit.steps=null")  # beside the tiny chain
FRONT_END = {8_000: "audio.n_mels=64", 16_000: "audio.n_mels=80"}  # of corpus=fsdd, and the default one


@pytest.mark.parametrize("rate", SHIPPED_RATES)
def test_the_default_sizes_begin_with_shipped_weights_and_read_the_pitch_if_these_do(rate: int, tmp_path: Path) -> None:
    def settings_with(*more: str) -> RunSettings:
        return run_settings(composed(tmp_path, *SOUND, *DEFAULT, f"audio.sample_rate={rate}", FRONT_END[rate], *more))

    settings = settings_with()
    assert (settings.vocoder.start, settings.vocoder.fit.steps) == (str(SHIPPED / f"{rate}"), 0)
    assert len(voice_notices(settings)) == 1
    assert settings_with("vocoder.fit.steps=7").vocoder.fit.steps == 7
    heard = settings_with("embedded.other=true")  # what the weights were trained on
    assert any("embedded.other" in each for each in voice_notices(heard))
    reads = bool(saved_vocoder(str(SHIPPED / f"{rate}")).wavenet.pitch)
    assert settings.vocoder.wavenet.pitch is reads
    other = f"vocoder.wavenet.pitch={str(not reads).lower()}"
    if reads:  # the network cannot cease to read it
        assert settings_with(other).vocoder.start is None
    else:  # it may learn to
        with pytest.raises(InputError, match=r"^vocoder\.wavenet\.pitch"):
            settings_with(other)
        assert settings_with(other, "vocoder.fit.steps=1").vocoder.wavenet.pitch


@pytest.mark.parametrize("rate", SHIPPED_RATES[:1])
def test_a_run_has_a_voice_without_training(rate: int, store: Path, tmp_path: Path) -> None:
    """Its report and the model say where the voice comes from, and its key names the weights."""
    assert run(store, tmp_path / "run", *SOUND, *DEFAULT, f"audio.sample_rate={rate}", FRONT_END[rate]) == 0
    sha256 = saved_vocoder(str(SHIPPED / f"{rate}")).weights_sha256
    made = tmp_path / "run"
    artifact = json.loads((made / "vocoder/entry.json").read_text())
    assert artifact["arguments"]["start"] == sha256
    assert str(SHIPPED) not in json.dumps(artifact)
    vocoder = Vocoder.from_pretrained(made / "vocoder")
    assert (vocoder.began_at, vocoder.steps) == (sha256, 0)
    for text in ("results.json", "report.html", "vocoder/README.md"):
        assert sha256[:16] in (made / text).read_text()
