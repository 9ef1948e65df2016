"""Write what a checkout computes on tiny runs: figures, and hashes of arrays, codes and sounds.

python tests/golden/run.py CHECKOUT OUT.json [--data FOLDER] [--only NAME ...]; compare.py compares two such files.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import soundfile
import yaml
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
RATE, VOICES = 8000, ("george", "jackson", "lucas")
COSTS = ("seconds", "cpu_seconds", "peak_memory", "samples_per_second")  # figures
FIGURE = ("stage", "name", "of", "against", "split", "labels", "noise_snr", "group", "fold", "seed")  # columns
RESULTS = ("results.json", "figures.json", "perplexity.json", "kmeans.json")
OTHERS = {"artifact", "provenance", "stages", "clips_key", "notices"}  # keys that are no result
FIT = ("steps=4", "validate_every=2", "warmup_steps=2", "precision=fp32")
HEADS = ("backbone.batches.batch_size=4", "figures.resamples=20", *(f"backbone.fit.{word}" for word in FIT))
COMMANDS = {  # name -> run whose models it uses, and words; at_NAME is a place, ./ the folder of its own output
    "encode": ("smoke", "encode input=at_calls output=./codes.parquet"),
    "units": ("smoke", "encode input=at_calls output=./units.km deduplicate=true"),
    "embed": ("smoke", "embed input=at_calls output=./vectors.npz layer=all pooling=thirds"),
    "embed_log_mel": ("smoke", "embed input=at_calls output=./vectors.parquet method=log_mel"),
    "generate": ("smoke", "generate output=./sounds prompt=at_word seconds=0.1 num_samples=2 engine=numba"),
    "decode": ("smoke", "decode input=at_encode/codes.parquet output=./sounds engine=torch"),
    "pitch_codes": ("pitch", "encode input=at_calls output=./codes.parquet"),
    "decode_flat": ("pitch", "decode input=at_pitch_codes/codes.parquet output=./sounds pitch=flat"),
    "score": ("smoke", "score input=at_calls output=./scores.tsv"),
    "probe": (
        "smoke",
        "probe corpus.root=at_calls output=./probe.json probe.regularisation_strengths=3 probe.resamples=20",
    ),
    "classes": (
        "smoke",
        "finetune corpus.root=at_calls output=./model head=classification threads=1 tensorboard=false",
    ),
    "letters": (
        "smoke",
        "finetune corpus.root=at_calls corpus.pattern={label}/* output=./model head=sequence threads=1 "
        "tensorboard=false",
    ),
    "predict": ("classes", "predict input=at_calls output=./labels.tsv"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data", help="folder of real recordings")
    parser.add_argument("--work", type=Path, help="folder that keeps the runs")
    parser.add_argument("--only", nargs="*", help="names of runs and commands, whose results OUT gets")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        before = json.loads(asked.out.read_text()) if asked.only and asked.out.exists() else {}
        found = made(asked.checkout.resolve(), asked.data, (asked.work or Path(place)).resolve(), asked.only)
        asked.out.write_text(json.dumps(before | found, indent=0))


def made(checkout: Path, data: Path, work: Path, only: list[str] | None) -> dict[str, str | float]:
    """Call every run and command in ``work``, and return what they wrote."""
    places, found = write_recordings(data, work), {}
    env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    save = (
        "from pathlib import Path; from tests.wordless.audio.speech_models.checkpoints import save_checkpoint as save"
    )
    save += f"; save(Path({str(work / 'model')!r}), 'hubert', sample_rate=4000)"
    subprocess.run([sys.executable, "-c", save], cwd=checkout, env=env, check=True)
    places["speech_model"] = work / "model"
    runs: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "runs.yaml").read_text())
    common = runs.pop("common")
    calls = {name: ["run", *words({**flat(common), **flat(own)})] for name, own in runs.items()}
    for name, (model, call) in COMMANDS.items():
        command, *rest = call.split()
        rest.append(f"model=at_{model}{'/model' * (command == 'predict')}")
        if command == "finetune":
            rest += [*HEADS, "store.root=./store"]
        calls[name] = [command, *(word.replace("=./", f"={work / 'at' / name}/") for word in rest)]
    for name, call in calls.items():
        folder = work / "at" / name
        if call[0] == "run":
            call += [f"store.root={folder}/store"]
        call = [filled(word, places) for word in call]
        if (only and name not in only) or any("=at_" in word for word in call):
            print(f"{name}: skipped")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        command, *options = call
        python = [sys.executable, "-m", "pipelines.cli", command]
        if command == "run":
            options.append(f"hydra.run.dir={folder}")
        python += options
        begin = time.monotonic()
        done = subprocess.run(python, cwd=work, env=env, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begin
        print(f"{name}: {done.returncode}, {seconds:.0f} s", done.stderr if done.returncode else "", flush=True)
        places[name] = folder
        found[f"{name}: exit code"] = done.returncode
        found.update((f"{name}: {key}", value) for key, value in results_in(folder))
    return found


def flat(options: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Give each option its dotted name."""
    return {
        name: value
        for key, part in options.items()
        for name, value in (flat(part, f"{place}{key}.") if isinstance(part, dict) else {place + key: part}).items()
    }


def words(options: dict[str, Any]) -> list[str]:
    """Write options as words of a command line."""
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]


def filled(word: str, places: dict[str, Path]) -> str:
    """Replace ``at_NAME`` by its place."""
    option, equals, value = word.partition("=at_")
    name, slash, rest = value.partition("/")
    return f"{option}={places[name]}{slash}{rest}" if equals and name in places else word


def write_recordings(data: Path, work: Path) -> dict[str, Path]:
    """Write calls of two kinds, and small parts of the real recordings that there are; return the place of each."""
    places = {name: work / name for name in ("annotated", "calls")}
    times = np.arange(RATE // 2) / RATE
    for site in range(4):
        sound = 0.01 * np.random.default_rng(site).standard_normal(RATE * 7)
        rows = ["Begin Time (s)\tEnd Time (s)\tSpecies"]
        for number in range(6):
            kind, slope = ("wren", 1500) if number % 2 else ("robin", -1500)
            call = sound[RATE * number + RATE // 2 :][: len(times)]
            call += 0.3 * np.sin(2 * np.pi * (2000 + 50 * site + slope * times / 2) * times)
            rows.append(f"{number + 0.5}\t{number + 1.0}\t{kind}")
            (places["calls"] / kind).mkdir(parents=True, exist_ok=True)
            soundfile.write(places["calls"] / f"{kind}/{site}_{number}.wav", call, RATE)
        places["annotated"].mkdir(parents=True, exist_ok=True)
        soundfile.write(places["annotated"] / f"site{site}.wav", sound, RATE)
        (places["annotated"] / f"site{site}.Table.1.selections.txt").write_text("\n".join(rows) + "\n")
    places["word"] = places["calls"] / "wren/0_1.wav"
    fsdd = [f"{digit}_{voice}_{take}.wav" for digit in "012" for voice in VOICES for take in (0, 5, 10, 11)]
    kinds = [(kind, fold) for kind in ("001 - Dog bark", "002 - Rain", "003 - Sea waves") for fold in "1234"]
    esc10 = [path for kind, fold in kinds for path in sorted((data / "esc10" / kind).glob(f"{fold}-*"))[:2]]
    copied = {"fsdd": [data / "fsdd" / "recordings" / name for name in fsdd], "esc10": esc10}
    for name, labels in {"intents": None, "arabic_commands": ("backward", "close")}.items():
        table = data / name / "clips.tsv"
        listed = list(csv.DictReader(table.open(), delimiter="\t")) if table.is_file() else []
        rows, known, taken = [], set[str](), Counter[tuple[str, str]]()
        for row in sorted(listed, key=lambda each: each["split"] != "train"):  # others have labels of training clips
            own, group = {*row["label"].split(";")}, (row["split"], row["label"] if labels else "")
            if own <= {*labels} if labels else row["split"] == "train" or own <= known:
                taken[group] += 1
                if taken[group] <= (4 if labels else 8):
                    rows.append(row)
                    known |= own
        copied[name] = [data / name / row["path"] for row in rows]
        if rows:
            places[name] = work / name / "clips.tsv"
            places[name].parent.mkdir(exist_ok=True)
            lines = ["\t".join(row) for row in (rows[0], *(row.values() for row in rows))]
            places[name].write_text("\n".join(lines) + "\n")
    for name, paths in copied.items():
        if not paths or not paths[0].is_file():
            print(f"{name}: there are no such recordings in {data}")
            continue
        places.setdefault(name, work / name)
        root = data / name / "recordings" if name == "fsdd" else data / name
        for path in paths:
            copy = work / name / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return places


def results_in(folder: Path) -> Iterator[tuple[str, str | float]]:
    """Give the figures, arrays and sounds that a call left in its folder."""
    stored: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        kind = path.suffix
        if name.startswith("store/"):  # features, by stage and layer: keys of artifacts follow the options
            if path.name == "features.safetensors":
                for key, array in load_file(path).items():
                    stored[f"{name.split('/')[1]} {key}"].append(written(array))
        elif kind == ".safetensors":
            yield from ((f"{name} {key}", written(array)) for key, array in load_file(path).items())
        elif kind == ".npz":
            yield from ((f"{name} {key}", written(array)) for key, array in np.load(path).items())
        elif kind == ".wav":
            yield name, written(soundfile.read(path, dtype="int16")[0])
        elif kind == ".parquet":
            table = pq.read_table(path)
            yield from ((f"{name} {key}", hashed(str(table[key].to_pylist()))) for key in table.column_names)
        elif kind in (".tsv", ".txt", ".km") and path.name != "log.txt":
            yield name, hashed(path.read_text().replace(str(folder.parents[1]), ""))
        elif path.name in (*RESULTS, "probe.json"):
            yield from leaves(json.loads(path.read_text()), name)
    yield from ((f"store {name}", " ".join(sorted(arrays))) for name, arrays in stored.items())


def leaves(value: object, place: str) -> Iterator[tuple[str, str | float]]:
    """Give each number and text with its place; a figure's place is what it is a figure of."""
    if isinstance(value, dict):
        if "stage" in value and "value" in value:  # a figure
            if value["name"] in COSTS:
                return
            place = " ".join(str(value[key]) for key in FIGURE if value.get(key) is not None)
            value = {key: value.get(key) for key in ("value", "low", "high", "p", "layer", "pooling", "count")}
        for key, part in value.items():
            if key not in OTHERS:
                yield from leaves(part, f"{place}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, place if place.endswith("figures") else f"{place}[{number}]")
    elif isinstance(value, (str, int, float)):
        yield place, value


def written(array: npt.NDArray[Any]) -> str:
    """Write the form, the mean and a hash of an array."""
    mean = float(np.mean(array, dtype=np.float64)) if array.size and array.dtype.kind in "fiub" else 0.0
    return f"{array.dtype}{list(array.shape)} {mean:.6g} {hashed(np.ascontiguousarray(array).tobytes())}"


def hashed(content: str | bytes) -> str:
    """Return the begin of a hash."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:12]


if __name__ == "__main__":
    main()
