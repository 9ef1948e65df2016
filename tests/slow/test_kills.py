"""The kill matrix: a command that was killed, and called again, leaves what an undisturbed command leaves.

Every file and folder is compared, so a stray file, a half-made folder and a differing byte fail a test. Where a kill
comes is drawn from a fixed seed, among the file events of the undisturbed command; all kinds of events come once before
any comes again. Each kill is a test of its own: its name leads back to the same kill.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.killing import Call, Ended, Kill, call
from tests.pipelines.jobs.conftest import QUICK, write_tones
from tests.pipelines.tiny import SAMPLES, save_run, sweep
from tests.pipelines.tiny_chain import CHECKPOINTS, TINY
from tests.slow.scenarios import Scenario, Site, Undisturbed, begin_at, contents, differences, undisturbed
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

# Kills of each scenario: before a file event, in the middle of a file, at a random moment, in a chain.
PLAN = {
    "run": (36, 20, 8, 12),
    "encode shards": (12, 6, 3, 4),
    "encode parquet": (6, 3, 1, 0),
    "encode units": (6, 3, 1, 0),
    "decode folder": (8, 4, 3, 4),
    "decode alone": (4, 2, 1, 0),
    "decode griffin_lim": (4, 2, 1, 0),
    "decode file": (2, 1, 1, 0),
    "generate folder": (8, 4, 3, 3),
    "generate file": (2, 1, 1, 0),
    "finetune": (8, 4, 2, 2),
    "speech": (6, 4, 1, 0),
    "samples": (6, 4, 1, 0),
    "probe": (12, 6, 4, 6),
    "sweep": (12, 6, 4, 6),
}
# Commands that share a store; the word that names the output of one of them, and that of the other.
APART = {
    "run": ("hydra.run.dir=run", "hydra.run.dir=other"),
    "probe": ("output=probe.json", "output=other.json"),
    "sweep": ("hydra.sweep.dir=sweep", "hydra.sweep.dir=other"),
}
SPEECH = (
    *("stages=[tokenizer,probe]", "compare.methods=[wav2vec2,wav2vec2_finetuned]", "wav2vec2=tiny"),
    *(f"wav2vec2.{part}.fit.steps=6" for part in ("pretraining", "finetuning")),
    *(f"wav2vec2.{part}.fit.validate_every=2" for part in ("pretraining", "finetuning")),
    "checkpoint_minutes=0",
)
EXISTS = "exists already"  # of an output that was whole when the command was killed


def numbered(column: int) -> list[tuple[str, int]]:
    """Name and number of each kill of one kind."""
    return [(name, number) for name, row in PLAN.items() for number in range(row[column])]


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scenario]:
    """Every command with its words, but for ``probe``, which needs a finished run."""
    inputs = tmp_path_factory.mktemp("inputs")
    model, recordings = save_run(inputs / "model", seed=0), inputs / "recordings"
    recordings.mkdir()
    for number, rate in enumerate((4000, 8000, 16_000, 4000, 8000)):
        soundfile.write(recordings / f"{number}.wav", sweep(0.5 + 0.3 * number, rate, low=100 + 20 * number), rate)
    (recordings / "2 is no sound.wav").write_text("text")
    tokenizer = Tokenizer.from_pretrained(model / "tokenizer")
    codes = [tokenizer.encode(sweep(0.11 + 0.05 * number, 4000), 4000) for number in range(4)]
    clips = [CodedClip(path=f"{number}.wav", codes=each, group="anna") for number, each in enumerate(codes)]
    write_shard(inputs / "codes.parquet", clips, codes[0].format)
    write_shard(inputs / "alone.parquet", clips[-1:], codes[0].format)
    run = (*TINY, *CHECKPOINTS, "store.root=store")
    encode = (f"model={model}", f"input={recordings}", "clips_per_shard=2", "workers=1")
    decode = (f"model={model}", f"input={inputs / 'codes.parquet'}")
    alone = (f"model={model}", f"input={inputs / 'alone.parquet'}")
    generate = (f"model={model}", "seconds=0.2", f"prompt={recordings / '0.wav'}")
    finetune = (f"model={model}", f"corpus.root={write_tones(inputs / 'tones')}")
    made = {
        "run": ("run", *run, "hydra.run.dir=run"),
        "encode shards": ("encode", *encode, "output=codes"),
        "encode parquet": ("encode", *encode, "output=codes.parquet"),
        "encode units": ("encode", *encode, "output=codes.km"),
        "decode folder": ("decode", *decode, "output=sounds"),
        "decode alone": ("decode", *alone, "output=sounds"),
        "decode griffin_lim": ("decode", *decode, "output=sounds", "synthesis=griffin_lim"),
        "decode file": ("decode", *alone, "output=sound.wav"),
        "generate folder": ("generate", *generate, "output=more", "num_samples=3"),
        "generate file": ("generate", *generate, "output=more.wav", "num_samples=1"),
        "finetune": (
            "finetune",
            *finetune,
            *QUICK,
            "checkpoint_minutes=0",
            "output=tuned",
            "store.root=store",
        ),
        "speech": ("run", *run, *SPEECH, "hydra.run.dir=run"),
        "samples": ("run", *run, *SAMPLES, "checkpoint_minutes=0", "hydra.run.dir=run"),
        "sweep": ("run", "-m", *run, "hydra.sweep.dir=sweep", "tokenizer.codebook_size=4,8", "stages=[tokenizer]"),
    }
    return {
        name: Scenario(name=name, command=words[0], words=tuple(map(str, words[1:]))) for name, words in made.items()
    }


@pytest.fixture(scope="session")
def whole(scenarios: dict[str, Scenario], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """What the command of a scenario leaves when nothing disturbs it; made once."""
    call("--version", place=tmp_path_factory.mktemp("first"))  # starts the server, whose imports take seconds
    made: dict[str, Undisturbed] = {}

    def obtain(name: str) -> Undisturbed:
        if name not in made:
            scenario = scenarios[name] if name in scenarios else _probe(obtain("run"))
            made[name] = undisturbed(scenario, tmp_path_factory.mktemp(name.replace(" ", "_")))
        return made[name]

    return obtain


def _probe(run: Undisturbed) -> Scenario:
    corpus = tuple(word for word in TINY if word.startswith(("embedded.", "probe.")))
    words = (f"model={run.place / 'run'}", "output=probe.json", "store.root=store", *corpus)
    return Scenario(name="probe", command="probe", words=words)


def resume(wanted: Undisturbed, place: Path) -> Ended:
    """Call the command again, and require what the undisturbed command left."""
    done = call(wanted.scenario.command, *wanted.scenario.words, place=place)
    assert "Traceback" not in done.told, done.told
    assert done.code == 0 or (done.code == 2 and EXISTS in done.told), done.told
    found = contents(place)
    assert not differences(wanted.contents, found), differences(wanted.contents, found)
    return done


def killed(wanted: Undisturbed, sites: tuple[Site, ...], number: int, step: int, folder: Path) -> Path:
    """Kill the command at a site, and return where: the next one of its turn where a site is not reached."""
    for attempt, site in enumerate(sites[number % len(sites) :: step]):
        place = folder / str(attempt)
        begin_at(wanted, site, place)
        done = call(wanted.scenario.command, *wanted.scenario.words, place=place, kill=site.kill)
        if site.kill.ended(done.code):
            print(f"killed at {site.kill}")
            return place
        assert done.code == 0, done.told
        shutil.rmtree(place)
    raise AssertionError("no site was reached")


@pytest.mark.parametrize(
    ("name", "number", "inside"), [(*each, inside) for inside in (0, 1) for each in numbered(inside)]
)
def test_killed_before_a_file_event_or_in_the_middle_of_a_file(
    name: str, number: int, inside: int, whole: Callable[[str], Undisturbed], tmp_path: Path
) -> None:
    wanted = whole(name)
    sites = wanted.insides if inside else wanted.events
    resume(wanted, killed(wanted, sites, number, PLAN[name][inside], tmp_path))


@pytest.mark.parametrize(("name", "number"), numbered(2))
def test_killed_at_a_random_moment(name: str, number: int, whole: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    wanted, rng = whole(name), random.Random(number)
    for attempt in range(10):
        place = tmp_path / str(attempt)
        place.mkdir()
        running = Call(wanted.scenario.command, *wanted.scenario.words, place=place)
        running.ended_within(rng.uniform(0.02, 1) * wanted.seconds)
        running.end(signal.SIGKILL)
        if running.wait().code == -signal.SIGKILL:
            break
    else:
        raise AssertionError("the command was never killed")
    resume(wanted, place)


@pytest.mark.parametrize("name", [name for name, row in PLAN.items() if row[3]])
def test_killed_again_and_again(name: str, whole: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    """Each resumed command is killed a little later than the one before it."""
    wanted, rng, done = whole(name), random.Random(1), 0
    least = max(len(wanted.events) // (2 * PLAN[name][3]), 1)
    while done < PLAN[name][3]:
        count = rng.randint(least, 2 * least) + done * least // 4
        kill = Kill(count=count, written=rng.choice((None, 0, rng.randrange(5000))))
        ended = call(wanted.scenario.command, *wanted.scenario.words, place=tmp_path, kill=kill)
        if not kill.ended(ended.code):
            assert ended.code == 0 or (ended.code == 2 and EXISTS in ended.told), ended.told
            assert not differences(wanted.contents, contents(tmp_path))
            for path in tmp_path.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        done += 1
    resume(wanted, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["run", "encode shards", "decode folder", "generate folder", "probe", "sweep"])
def test_interrupted(name: str, number: signal.Signals, whole: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    """A signal that asks to stop: the command says one line, or nothing, and resumes."""
    wanted = whole(name)
    site = wanted.events[len(name) % len(wanted.events)]
    place = tmp_path / "place"
    begin_at(wanted, site, place)
    kill = Kill(path=site.kill.path, count=site.kill.count, signal=number)
    done = call(wanted.scenario.command, *wanted.scenario.words, place=place, kill=kill)
    assert "Traceback" not in done.told, done.told
    if number is signal.SIGINT:
        assert done.code == 130, done.told
        assert "interrupted" in done.told
    else:
        assert kill.ended(done.code), done.told
    resume(wanted, place)


@pytest.mark.parametrize(("name", "moment"), [("encode shards", 0.0), ("encode shards", 2.0), ("run", 1.0)])
def test_a_worker_killed(name: str, moment: float, whole: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    """One process of the pool is killed, and the command says so in a line; the resumed one needs no pool."""
    wanted = whole(name)
    words = (*(word for word in wanted.scenario.words if not word.startswith("workers=")), "workers=2")
    running = Call(wanted.scenario.command, *words, place=tmp_path)
    while not (workers := running.children("spawn_main")) and not running.ended_within(0.05):
        pass
    time.sleep(moment)
    os.kill(workers[0], signal.SIGKILL)
    done = running.wait()
    assert done.code == 2, done.told
    assert "Traceback" not in done.told, done.told
    resume(wanted, tmp_path)


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in APART for number in range(2)])
def test_one_of_two_on_one_store_killed(
    name: str, number: int, whole: Callable[[str], Undisturbed], tmp_path: Path
) -> None:
    """Two commands share a store; one is killed, and the other one ends as if it were alone."""
    wanted, (output, others) = whole(name), APART[name]
    events = [site for site in wanted.events if site.removed.count("/") == 2]
    kill = events[number].kill
    words = tuple(others if word == output else word for word in wanted.scenario.words)
    doomed = Call(wanted.scenario.command, *words, place=tmp_path, kill=kill)
    other = Call(wanted.scenario.command, *wanted.scenario.words, place=tmp_path)
    doomed.wait()
    done = other.wait()
    assert done.code == 0, done.told
    assert "Traceback" not in done.told, done.told
    call(wanted.scenario.command, *words, place=tmp_path)  # cleans up where the undisturbed one had no reason to
    for left in tmp_path.glob("other*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    assert not differences(wanted.contents, contents(tmp_path))


@pytest.mark.parametrize("name", ["encode shards", "encode parquet", "decode folder", "generate folder"])
def test_one_of_two_with_one_output_killed(name: str, whole: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    """Two commands write the same output; one may be refused, one is killed, and the same command then resumes."""
    wanted = whole(name)
    kill = Kill(count=len(wanted.events) // 2)
    both = [Call(wanted.scenario.command, *wanted.scenario.words, place=tmp_path, kill=kill) for _ in range(2)]
    for done in [running.wait() for running in both]:
        assert "Traceback" not in done.told, done.told
        assert kill.ended(done.code) or done.code in (0, 2), done.told
    resume(wanted, tmp_path)
