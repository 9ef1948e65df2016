"""The whole chain in seconds, in processes that can be killed: a little of the embedded corpus, and a few steps."""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra import initialize_config_module

from pipelines.commandline.composed_config import resolved
from pipelines.jobs.run_rules import run_settings
from pipelines.store.store import TIMINGS, CachedArtifact
from tests.calling import completed, compose, python
from tests.killing import PROCESSES, Kill, arm, call
from tests.pipelines.tiny import silent_session
from wordless.audio.recordings.manifest import Clips
from wordless.training.fit import with_precision

ROOT = Path(__file__).parents[2]
STEPS = 8
TRAINED = ("tokenizer", "tokenizer.decoder", "lm", "vocoder")
TINY = (
    *("experiment=smoke", "parallel=1"),
    *("embedded.voices=5", "embedded.words=2", "embedded.repetitions=2"),
    *("tokenizer.codebook_size=8", "tokenizer.sample_patches=500"),
    *("tokenizer.decoder.channels=16", "tokenizer.decoder.crop_codes=10", "tokenizer.decoder.batch_size=4"),
    *("lm.gpt.model_dim=16", "lm.gpt.ffn_dim=32", "lm.batches.batch_size=4"),
    *("baselines=tiny", "baselines.simclr.fit.steps=4", "baselines.supervised.fit.steps=4"),
    "probe.regularisation_strengths=3",
    *("vocoder.wavenet.layers=2", "vocoder.crops.batch_size=2", "vocoder.crops.crop_codes=10"),
    *(f"{part}.fit.steps={STEPS}" for part in TRAINED),
    *(f"{part}.fit.validate_every=4" for part in TRAINED),
    *(f"{part}.fit.warmup_steps=2" for part in TRAINED),
    *("listening.clips=1", "listening.evaluated_clips=2", "listening.continuations=1", "probe.resamples=10"),
    *("listening.seconds=0.2", "listening.continuation_seconds=0.2"),
)
OWN = tuple(word for word in TINY if not word.startswith("embedded."))  # for recordings that are not built in
CHECKPOINTS = ("checkpoint_minutes=0",)  # at each step


def called(*words: str, command: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
    """``wordless <command> words...``, as a user calls it."""
    return python("-m", "pipelines.cli", command, *words, **environment)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refused command. What it said while all was well stands before it."""
    told = [line for line in done.stderr.splitlines() if line.startswith("wordless run: ")]
    assert (done.returncode, len(told)) == (2, 1), done.stderr
    assert "Traceback" not in done.stderr
    return told[0]


def called_at_once(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As `called`, by a process that has imported everything; it leaves its run folder in ``place``."""
    place.mkdir(parents=True, exist_ok=True)
    done = call("run", *words, f"hydra.run.dir={place / 'run'}", place=ROOT)
    return subprocess.CompletedProcess(words, done.code, "", done.told)


@cache
def _config_of(command: str, *words: str) -> dict[str, Any]:
    with initialize_config_module("conf", version_base="1.3"):
        return resolved(compose(command, overrides=list(words)))


def config_of(command: str, *words: str) -> dict[str, object]:
    """The config of a command with these words."""
    config = _config_of(command, *words)
    return completed(command, config) if command == "run" else deepcopy(config)


def composed(store: Path, *words: str) -> dict[str, object]:
    """The config that `called` would compose."""
    config = _config_of("run", *TINY, *words)
    return completed("run", config | {"store": config["store"] | {"root": str(store)}})


def run(store: Path, folder: Path, *words: str, kill: Kill | None = None) -> int:
    """Exit code of the chain in a process of its own; negative: the signal that ended it."""
    process = PROCESSES.Process(target=_run, args=(composed(store, *words), store, folder, kill))
    process.start()
    process.join(300)
    return process.exitcode if process.exitcode is not None else -1


def _run(config: dict[str, object], store: Path, folder: Path, kill: Kill | None) -> None:
    from pipelines.jobs.run_chain import run_chain

    if kill:
        arm(store, kill)
    run_chain(config, folder)


def make_one(manifest: Clips, place: Path, *words: str, unlabelled: Sequence[Clips] = ()) -> dict[str, CachedArtifact]:
    """Make the artifacts of one fold and seed of our own recordings, with a store in ``place``, in this process."""
    from pipelines.chain.chain import make_part

    session = silent_session(place)
    settings = with_precision(run_settings(composed(session.store.root, *words)), session.gang)
    return make_part(session, manifest, settings, unlabelled)


def artifacts(store: Path) -> Iterator[Path]:
    yield from sorted(path.parent for path in store.glob("*/*/entry.json") if path.parent.suffix != ".partial")


def stored(store: Path) -> dict[str, str]:
    """Path -> hash of every file of every artifact, but for the timings."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for artifact in artifacts(store)
        for path in sorted(artifact.rglob("*"))
        if path.is_file() and path.name != TIMINGS
    }
