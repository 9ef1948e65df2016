"""The convolutional encoder of spectrograms: SimCLR, supervised, and untrained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Made, Method, Row, Training, train_and_read
from wordless.base.errors import InputError

if TYPE_CHECKING:
    from pipelines.methods.study import Study
    from pipelines.stages.networks import Network
    from pipelines.store.store import Entry
    from wordless.audio.recordings.manifest import Manifest


def _simclr(study: Study) -> Made:
    from pipelines.stages.simclr import simclr

    extra = study.unlabelled_spectrograms
    trained = simclr(study.session, study.spectrograms, extra, study.options.baselines)
    features = _network(study, trained).features(study, SIMCLR.name)
    data = (study.spectrograms, trained, *study.heard_entries)
    return Made(trained=data, unlabelled=tuple((each,) for each in extra), features=features)


def _supervised(study: Study) -> Made:
    made = train_and_read(study, SUPERVISED.name, _network(study), study.spectrograms)
    return replace(made, trained=(*made.trained, *study.heard_entries))


def _untrained(study: Study) -> Made:
    return Made(trained=study.heard_entries, features=_network(study).features(study, RANDOM_CONV.name))


def _network(study: Study, simclr: Entry | None = None) -> Network:
    from pipelines.stages.networks import convolutional

    return convolutional(study, study.entries.finest.sample, study.options.baselines, simclr=simclr)


def _require_two(manifest: Manifest) -> None:
    train, held_out = len(manifest.of("train")), len(manifest.of("validation"))
    if min(train, held_out) < 2:
        raise InputError(
            f"there are {train} train clips and {held_out} for validation, and SimCLR tells 2 or more apart in each: "
            "add recordings, or leave simclr out of compare.methods"
        )


SIMCLR = Method(
    row=Row(
        name="simclr",
        kind="self_supervised",
        title="SimCLR",
        explanation="blocks of a convolutional network that was trained without labels, by contrast of two augmented "
        "versions",
        line=Line(marker="s"),
        places=("learning curves", "groups", "summary", "key figures"),
    ),
    input="log_mel",
    features=_simclr,
    training=Training(
        option="baselines.simclr",
        loss="nats per view, among all of its batch",
    ),
    require_clips=_require_two,
)
SUPERVISED = Method(
    row=Row(
        name="supervised",
        kind="supervised",
        title="supervised CNN",
        explanation="blocks of the convolutional network of `simclr`, trained with the labels",
        line=Line(marker="^"),
        places=("learning curves",),
    ),
    head=Row(
        name="supervised_head",
        kind="supervised",
        title="supervised CNN, own head",
        line=Line(marker="^", filled=False),
        places=("groups", "summary", "key figures"),
    ),
    labels="train",
    input="log_mel",
    features=_supervised,
    training=Training(option="baselines.supervised", loss="nats per clip"),
)
RANDOM_CONV = Method(
    row=Row(
        name="random_conv", kind="untrained", title="CNN, untrained", line=Line(marker="s", filled=False, dashes=":")
    ),
    input="log_mel",
    features=_untrained,
)
