"""The whole chain on a little of the embedded corpus: what it leaves, what it reuses, and what it must not look at."""

import json
import math
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from lm.probing.probe import FittedProbe
from pipelines.jobs.run_chain import require_own_parts, write_probe
from pipelines.jobs.run_rules import run_settings
from pipelines.results.run_record import gross_error_file, read_results
from pipelines.store.store import ENTRY, CachedArtifact
from tests.calling import python
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import SAMPLES
from tests.pipelines.tiny_chain import PROCESSES, artifacts, called_at_once, composed, make_one, refusal, run
from tokenizer.parquet import read_codes
from vocoder.kinds import COMPARED_SYNTHESIS
from wordless.audio.recordings.manifest import Clips, Split, read_manifest
from wordless.base.files import file_hash
from wordless.base.messages import InputError
from wordless.base.saved_models import CONFIG
from wordless.training.fit import Gang, choose_precision

TOKENS = ("pitches", "sample", "augmented_sample", "autoencoder", "tokenizer", "codes", "health")
NAMES = {
    "tokenizer": "perplexity used_codes dead_codes bits_per_second reconstruction_mse quantised_mse",
    "lm": "perplexity unigram_perplexity bits_per_second predicted_pitch_error predicted_voicing_error",
    "probe": "accuracy macro_f1",
    "vocoder": (
        "bits_per_sample label_accuracy mel_cepstral_distortion log_mel_distance dropouts voicing_error code_agreement "
        "clipping silence runaway_clips silent_clips clipped_clips distinct_1 perplexity recoded_perplexity stoi_clips "
        "periodicity auto_bleu other_perplexity"
    ),
}
LAYERS = ("", "/layer_1", "/layer_2", "/all_layers")
PROBED = (
    "log_mel",
    "bottleneck",
    "bag_of_codes",
    *(f"{gpt}{layer}" for gpt in ("gpt", "random_gpt") for layer in LAYERS),
)
TRAINED = ("tokenizer", "tokenizer.decoder", "lm", "vocoder", "baselines.simclr", "baselines.supervised")
NO_CHOICE = (
    *("stages=[lm,vocoder,probe]", "compare.methods=[simclr,supervised]", "listening.evaluator=supervised"),
    *(f"{part}.fit.keep=last" for part in TRAINED),  # validation is there to choose the best weights
)
RATES_AND_SAMPLES = (
    *SAMPLES,
    *("stages=[lm,next_sample]", "tokenizer.rates=[8,2]", "lm.gpt.layers=2", "next_sample.models=[wavenet]"),
    *(f"{part}.fit.keep=last" for part in ("tokenizer", "lm", "next_sample")),
)
# Stages whose tensors are learned: statistics and sample, weights, centroids.
LEARNED = (
    *("sample", "augmented_sample", "autoencoder", "tokenizer", "code_decoder"),
    *("lm", "vocoder", "simclr", "supervised"),
)


# What a run leaves


def test_a_run_leaves_its_report_every_figure_and_how_to_make_them_again(finished_run: FinishedRun) -> None:
    assert finished_run.printed.split()[-1] == str(finished_run.folder / "report.html")
    assert read_results(finished_run.folder)["listening"]["warning"]["right"] == 2  # one answer for both
    assert "WARNING   the classifier, a linear probe of log-mel" in finished_run.printed
    assert (finished_run.folder / "report.html").read_text().lower().startswith("<!doctype html>")
    content = results(finished_run.folder)
    rows, source = content["figures"], content["provenance"]
    assert {(stage, name) for stage, names in NAMES.items() for name in names.split()} <= {
        (row["stage"], row["name"]) for row in rows
    }
    assert {row["artifact"] for row in rows} <= {artifact.name for artifact in artifacts(finished_run.store)}
    assert all(math.isfinite(row["value"]) for row in rows)
    assert shlex.split(source["command"]) == ["wordless", "run", *finished_run.words]
    assert source["parameters"].keys() == {"autoencoder", "code_decoder", "lm", "vocoder"}
    assert not [path for path in finished_run.store.rglob("*.json") if source["date"] in path.read_text()]
    (trained,) = finished_run.store.glob(f"vocoder/*/{ENTRY}")
    precision = choose_precision(Gang(torch.device("cpu")))
    assert json.loads(trained.read_text())["arguments"]["fit"]["precision"] == precision
    assert source["config"]["vocoder"]["fit"]["precision"] == "auto"


def results(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


def test_every_layer_is_probed_and_sounds_of_each_kind_are_measured_and_recognised(finished_run: FinishedRun) -> None:
    content = results(finished_run.folder)

    def rows(name: str) -> list[dict[str, Any]]:
        return [row for row in content["figures"] if row["name"] == name]

    probed, recognised = rows("accuracy"), rows("label_accuracy")
    layers = {f"{row['of']}/{row['layer']}" for row in rows("layer_accuracy")}
    assert {*PROBED} <= {row["of"] for row in probed} | layers
    # figures on validation and of single groups have no interval
    tested = [row for row in probed if row["split"] == "test" and row["group"] is None]
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in (*tested, *recognised))
    assert {row["of"] for row in recognised} == {*COMPARED_SYNTHESIS}
    generated_rows = {
        f"{kind}@{temperature}" for kind in ("continuation", "unconditional") for temperature in ("0.7", "1")
    }
    assert {row["of"] for row in rows("silence")} == {*COMPARED_SYNTHESIS, *generated_rows}
    curve = content["curves"]["vocoder"]
    (kept,) = [row["validation_loss"] for row in curve["curve"] if row["step"] == curve["kept_step"]]
    (told,) = rows("bits_per_sample")
    assert told["value"] == pytest.approx(kept / math.log(2))
    assert content["listening"]["evaluated_clips"] == 2
    lost = [
        gross_error_file(row["number"], kind)
        for row in content["listening"]["gross_pitch_errors"]
        for kind in row["sounds"]
    ]
    assert {finished_run.folder / file for file in lost} == {*finished_run.folder.glob("listening/gross_pitch_error_*")}
    played = range(len(content["listening"]["clips"]))
    assert all((finished_run.folder / f"listening/{number}_wavenet_recorded.wav").is_file() for number in played)
    unconditional = [row for row in content["listening"]["generated_labels"] if row["of"] == "unconditional"]
    assert {sum(row["classes"].values()) for row in unconditional} == {2}


# What is reused


def test_a_second_run_reuses_everything(finished_run: FinishedRun, tmp_path: Path) -> None:
    done = called_at_once(tmp_path, *finished_run.words)
    assert done.returncode == 0, done.stderr
    assert all(row["reused"] for row in results(tmp_path / "run")["stages"])
    assert results(tmp_path / "run")["figures"] == results(finished_run.folder)["figures"]
    trainings = {path.name for path in (finished_run.folder / "tensorboard").iterdir()}
    assert {path.name for path in (tmp_path / "run/tensorboard").iterdir()} == trainings


def test_a_run_that_computes_nothing_imports_no_library_that_computes(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    """Their imports take seconds. PyTorch's compiler, `torch._dynamo`, comes also with tensors without memory."""
    words = ["wordless", "run", *finished_run.words, f"hydra.run.dir={tmp_path / 'run'}"]
    slow = {"torch._dynamo", "fairseq2", "sklearn", "librosa", "transformers"}
    code = (
        f"import sys; sys.argv = {words}; from pipelines.cli import main; main();"
        f"found = {slow} & {{*sys.modules}}; assert not found, found"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(row["reused"] for row in results(tmp_path / "run")["stages"])


def test_another_codebook_size_shares_the_autoencoder_and_a_folder_holds_its_own_run_alone(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    for part in ("lm", "tokenizer"):  # of another run
        (tmp_path / "run" / part).mkdir(parents=True)
        for name in (ENTRY, "of_another_run.json"):
            (tmp_path / "run" / part / name).touch()
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    assert run(store, tmp_path / "run", "tokenizer.codebook_size=4", "stages=[tokenizer]") == 0
    made = {stage: count for stage, count in counts(store).items() if stage in TOKENS}
    again = {"tokenizer", "codes", "health"}
    assert made == {stage: 1 + (stage in again) for stage in TOKENS}
    assert results(tmp_path / "run")["stages"][1]["reused"]
    assert not (tmp_path / "run/lm").exists()
    assert not (tmp_path / "run/tokenizer/of_another_run.json").exists()
    assert (tmp_path / "run/tokenizer/config.json").is_file()


def counts(store: Path) -> dict[str, int]:
    return dict(Counter(artifact.parent.name for artifact in artifacts(store)))


def test_an_option_of_the_language_model_trains_no_vocoder(finished_run: FinishedRun, tmp_path: Path) -> None:
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    before = counts(store)
    assert run(store, tmp_path / "run", "lm.views.offsets=false", "stages=[lm,vocoder]") == 0
    assert counts(store) == {**before, "lm": 2, "listening": 2, "label_accuracy": 2}


# No leak


def without(manifest: Clips, splits: tuple[Split, ...], root: Path) -> Clips:
    """The same corpus elsewhere, with noise of the same length in place of all clips of some splits."""
    clips = []
    for number, clip in enumerate(manifest.clips):
        path = root / clip.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if clip.split in splits:
            noise = np.random.default_rng(number).normal(0, 0.1, clip.num_samples)
            soundfile.write(path, noise, clip.sample_rate)
            clip = replace(clip, sha256=file_hash(path), size=path.stat().st_size)
        else:
            shutil.copy(manifest.root / clip.path, path)
        clips.append(clip)
    return Clips.from_rows(root, clips)


def learned(store: Path, stages: Sequence[str]) -> dict[str, torch.Tensor]:
    """Everything that was learned, and the codes of the training clips."""
    tensors = {
        f"{stage}:{name}": value
        for stage in stages
        for path in store.glob(f"{stage}/*/*.safetensors")
        for name, value in load_file(path).items()
        if name != "validation"
    }
    return tensors | {
        f"codes:{clip.path}:{clip.offset_frames}:{clip.codes.format.samples_per_code}": torch.from_numpy(
            clip.codes.values
        )
        for path in store.glob("codes/*/")
        for clip in read_codes(path)[1]
        if clip.split == "train"
    }


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        (NO_CHOICE, LEARNED),
        pytest.param(RATES_AND_SAMPLES, ("lm", "upsampler", "next_sample_wavenet"), marks=pytest.mark.slow),
    ],
)
def test_nothing_is_learned_from_validation_and_test_clips(
    words: tuple[str, ...], stages: tuple[str, ...], finished_run: FinishedRun, tmp_path: Path
) -> None:
    manifest = finished_run.manifest
    held_out = without(manifest, ("validation", "test"), tmp_path / "held_out_is_noise")
    train = without(manifest, ("train",), tmp_path / "train_is_noise")
    assert len({each.clips for each in (manifest, held_out, train)}) == 3
    places = {tmp_path / name: each for name, each in (("usual", manifest), ("same", held_out), ("other", train))}
    several = [PROCESSES.Process(target=make_one, args=(each, place, *words)) for place, each in places.items()]
    for process in several:
        process.start()
    for process in several:
        process.join(300)
    usual, same, other = (learned(place / "store", stages) for place in places)
    assert usual.keys() == same.keys() == other.keys()
    assert [name for name in usual if not torch.equal(usual[name], same[name])] == []
    for stage in (*stages, "codes"):
        names = [name for name in usual if name.startswith(f"{stage}:")]
        assert names
        assert any(not torch.equal(usual[name], other[name]) for name in names), stage


@pytest.mark.parametrize("name", ["rates", "probe"])
def test_parts_of_an_earlier_run_are_replaced_and_a_folder_of_the_user_is_not(name: str, tmp_path: Path) -> None:
    for part, written in (("lm", ENTRY), ("tokenizer", ENTRY), ("probe", CONFIG)):
        (tmp_path / part).mkdir()
        (tmp_path / part / written).touch()
    (tmp_path / "notes").mkdir()
    require_own_parts(tmp_path)
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    (tmp_path / name).mkdir()
    (tmp_path / name / "work.py").touch()
    with pytest.raises(InputError, match=rf"no run\b.*{name}\b"):
        require_own_parts(tmp_path)


def test_a_run_refuses_the_folder_before_it_reads_anything(tmp_path: Path) -> None:
    (tmp_path / "run/lm").mkdir(parents=True)
    told = refusal(called_at_once(tmp_path, "experiment=smoke", f"store.root={tmp_path / 'store'}"))
    assert "hydra.run.dir=PATH" in told
    assert (tmp_path / "run/lm").is_dir()
    assert not (tmp_path / "store/sample").exists()


@pytest.mark.parametrize(
    ("trim_db", "changes", "wanted"),
    [
        (None, {}, None),
        (30.0, {}, 30.0),  # the ends of other sounds may be silent where those of the clips are not
        (30.0, {"segment": 0}, None),  # a table names parts, which are never trimmed
        (30.0, {"segment": 0, "trimmed": 100}, 30.0),  # segments of trimmed recordings
    ],
)
def test_a_probe_says_how_its_clips_were_trimmed(
    trim_db: float | None, changes: dict[str, int], wanted: float | None, finished_run: FinishedRun, tmp_path: Path
) -> None:
    own = FittedProbe.from_pretrained(finished_run.folder / "probe").description
    (probe,) = (
        place
        for place in finished_run.store.glob("probed/*/")
        if json.loads((place / "probe.json").read_text())["of"] == "gpt"
    )
    made = {"probed_gpt": CachedArtifact(stage="probed", key=probe.name, place=probe, reused=True)}
    clips = read_manifest(finished_run.folder / "manifest.tsv", tmp_path).clips
    manifest = Clips.from_rows(tmp_path, (replace(clip, **changes) for clip in clips))  # type: ignore[arg-type]  # fields of a clip
    settings = run_settings(composed(tmp_path, f"corpus.inspection.trim_db={trim_db or 'null'}"))
    write_probe(tmp_path, made, manifest, settings)
    assert FittedProbe.from_pretrained(tmp_path / "probe").description == replace(own, trim_db=wanted)


def test_the_probe_of_codes_beside_the_layers_is_saved(finished_run: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(finished_run.store, tmp_path / "store")
    reading = (
        "compare.methods=[gpt]",
        "compare.layers=[together]",
        "compare.input=true",
    )
    assert run(tmp_path / "store", tmp_path / "run", "stages=[tokenizer,lm,probe]", *reading) == 0
    about = FittedProbe.from_pretrained(tmp_path / "run/probe").description
    tested = read_results(tmp_path / "run")["comparison"].tested
    assert about.of == tested["gpt"].candidate
    candidate = about.of.partition(":")[0]  # validation chooses among the two
    assert candidate in ("gpt/all_layers", "gpt/all_layers_with_input")
