"""The causal transformer that reads log-mel and predicts codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row, Training

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.settings.run import RunSettings
    from pipelines.store.store import Entry


def _features(study: Study) -> Made:
    from pipelines.stages.codes import codes

    session, finest = study.session, study.entries.finest
    # A run without a language model has no codes of these clips yet.
    extra = [codes(session, each, finest.tokenizer) for each in study.unlabelled]
    coded = tuple(zip(study.unlabelled_spectrograms, extra, strict=True))
    return replace(_made(study, GPT_SOUND.name, coded), unlabelled=coded)


def _untrained(study: Study) -> Made:
    return _made(study, RANDOM_GPT_SOUND.name, (), untrained=True)


def _made(study: Study, method: str, coded: tuple[tuple[Entry, Entry], ...], *, untrained: bool = False) -> Made:
    from pipelines.stages.sound_gpt import sound_gpt, sound_gpt_features

    session, options, finest, own = study.session, study.options, study.entries.finest, study.options.gpt_sound
    trained = sound_gpt(
        session,
        (study.spectrograms, finest.codes),
        coded,
        own,
        sample=finest.sample.folder,
        patch_frames=options.tokenizer.patch.frames,
        frame_rate=options.audio.sample_rate / options.audio.hop_length,
        untrained=untrained,
    )
    features = sound_gpt_features(study, method, trained)
    return Made(trained=(study.spectrograms, trained, *study.heard_entries), features=features)


def _vector_size(options: RunSettings) -> int:
    model = options.gpt_sound.model
    return options.compare.vectors.network_size(model.layers, model.ffn_dim)


GPT_SOUND = Method(
    row=Row(
        name="gpt_sound",
        kind="self_supervised",
        title="GPT that reads sound",
        explanation="inner activations of a GPT that reads log-mel of changed copies and predicts the codes of the "
        "unchanged clips",
        line=Line(marker="X"),
        places=("learning curves", "groups", "summary", "key figures"),
    ),
    input="log_mel",
    vector_size=_vector_size,
    features=_features,
    training=Training(option="gpt_sound", loss="nats per code"),
)
RANDOM_GPT_SOUND = Method(
    row=Row(
        name="random_gpt_sound",
        kind="untrained",
        title="GPT that reads sound, untrained",
        line=Line(marker="d", filled=False, dashes=":"),
    ),
    input="log_mel",
    vector_size=_vector_size,
    features=_untrained,
)
