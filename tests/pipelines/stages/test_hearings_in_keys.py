"""Features that were computed with other hearings are not reused, whatever the method."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import soundfile

from lm.bodies.body import Source
from lm.bodies.options import AstConfig, Wav2vec2Config
from lm.bodies.wav2vec2 import Wav2vec2Body, as_read, transformers_config
from lm.options import VectorConfig
from pipelines.settings.run import run_settings
from pipelines.stages.features import frame_features
from pipelines.stages.networks import ast, audio_transformer, speech
from pipelines.stages.options import AstSettings, FinetuningSettings
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe
from tests.pipelines.tiny import reading_of, session_of, sweep
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.speech_models.encoder import Architecture
from wordless.audio.waveform import FloatArray

RATE = 4000
Features = Callable[[Session, Manifest, VectorConfig, Path], object]


class MadeError(Exception):
    """Ends a stage once its recipe is known."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe.stage)
        self.recipe = recipe


def _frames(samples: FloatArray) -> FloatArray:
    return samples[:, None]


def _of_frames(session: Session, manifest: Manifest, vectors: VectorConfig, folder: Path) -> object:
    return frame_features(reading_of(session, manifest, vectors), partial(_frames), method="mfcc")


def _of_a_speech_model(session: Session, manifest: Manifest, vectors: VectorConfig, folder: Path) -> object:
    architecture = Architecture.of_config(transformers_config(Wav2vec2Config()), sample_rate=RATE)
    body = Wav2vec2Body(architecture=architecture)
    source = Source(body=body, weights=folder, fingerprint="body", change=as_read)
    reading = reading_of(session, manifest, vectors)
    return speech(reading, source, FinetuningSettings()).features(reading, "wav2vec2")


def _of_ast(session: Session, manifest: Manifest, vectors: VectorConfig, folder: Path) -> object:
    reading, settings = reading_of(session, manifest, vectors), AstSettings(model=AstConfig(layers=(1,), patches=4))
    return ast(reading, settings).features(reading, "random_ast")


def _of_audio_transformer(session: Session, manifest: Manifest, vectors: VectorConfig, folder: Path) -> object:
    reading, own = reading_of(session, manifest, vectors), run_settings(composed(folder)).audio_transformer
    return audio_transformer(reading, own).features(reading, "random")


@pytest.mark.parametrize("features", [_of_frames, _of_a_speech_model, _of_ast, _of_audio_transformer])
def test_other_hearings_have_other_keys(features: Features, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(0.5, RATE), RATE)
    clip = Clip(path="a.wav", num_samples=RATE // 2, sample_rate=RATE, size=0, sha256="a")
    manifest = Manifest(root=tmp_path, clips=(clip,))
    known, obtain = session_of(tmp_path / "store"), Session.obtain

    def stop(session: Session, recipe: Recipe, *args: object, **options: object) -> Entry:
        if recipe.stage == "heard_frames":
            return obtain(session, recipe, *args, **options)  # type: ignore[arg-type]  # as they were given
        raise MadeError(recipe)

    def key(vectors: VectorConfig) -> str:
        with pytest.raises(MadeError) as made:
            features(known, manifest, vectors, tmp_path)
        return made.value.recipe.key

    monkeypatch.setattr(Session, "obtain", stop)
    several = VectorConfig(hearings=3)
    before = [key(VectorConfig()), key(several)]
    monkeypatch.setattr("wordless.audio.recordings.hearings.LATEST", 0.08)  # as if a new version had other hearings
    after = [key(VectorConfig()), key(several)]
    assert after[0] == before[0]
    assert len({*before, *after}) == 3
