"""The examples of docs/adding.md run as the page prints them."""

import importlib.util
import inspect
import json
import re
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file

import lm.gpt
from lm.backbones.clips import ClipBatchConfig
from lm.backbones.convolutional import LogMelBackbone
from lm.finetuned import create_network, create_task
from lm.finetuning import ClassificationOptions
from lm.gpt import GPTConfig
from lm.layer_reader import LayerReader
from lm.probing.vectors import VectorConfig
from lm.tokens import Vocabulary
from pipelines.backbones.networks import AugmentedInputs, spectrograms
from pipelines.chain.trial import Trial
from pipelines.commandline.option_index import index_of, nested
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS, BackbonesOfRun
from pipelines.stages.codebooks import frame_sample
from pipelines.stages.stage_options import TokenizerSettings
from pipelines.store.stored_features import FEATURES
from tests.lm.tiny import TINY, codes_format
from tests.pasting import ROOT, environment, set_up
from tests.pipelines.tiny import AUDIO, reading_of, silent_session, write_clip
from tests.pipelines.tiny_chain import composed
from tests.tokenizer.conftest import fitted, sound
from tests.vocoder.sounds import random_table
from tokenizer import health
from tokenizer.tokenizer_config import PatchConfig
from vocoder.kinds import SynthesisMethod
from vocoder.synthesis import create_synthesis
from vocoder.vocoder_options import Sampling
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.recordings.splits import SplitConfig
from wordless.audio.spectrogram import SAMPLE
from wordless.audio.views import View
from wordless.base.messages import InputError
from wordless.base.options import option
from wordless.base.saved_models import write_model
from wordless.training import FitConfig

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")


def printed(begin: str) -> str:
    """The only line of the page that begins so, without its indentation."""
    [line] = re.findall(rf"^ *({re.escape(begin)}.*)$", PAGE, re.MULTILINE)
    return str(line)


def changed(module: ModuleType, *lines: tuple[str, str]) -> dict[str, Any]:
    """The names of a module, some lines of which were replaced."""
    source, names = inspect.getsource(module), {"__name__": module.__name__}
    for old, new in lines:
        [indent] = re.findall(rf"^( *){re.escape(old)}$", source, re.MULTILINE)
        source = source.replace(f"{indent}{old}\n", textwrap.indent(f"{new}\n", indent))
    exec(source, names)
    return names


def example(file: str) -> str:
    """What the page has, or links, for a file that it lets the reader create."""
    if linked := re.search(rf"Create `{re.escape(file)}` from \[this example\]\((.*?)\)", PAGE):
        return (ROOT / "docs" / linked[1]).read_text(encoding="utf-8")
    found = re.search(rf"Create `{re.escape(file)}`.*?```\w*\n(.*?)\n\s*```", PAGE, re.DOTALL)
    assert found, file
    return textwrap.dedent(found[1]) + "\n"


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The Python examples, by the names of their files."""
    modules = {}
    for file in re.findall(r"Create `([\w/]+\.py)`", PAGE):
        path = tmp_path / Path(file).name
        path.write_text(example(file), encoding="utf-8")
        name = f"adding_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        modules[path.stem] = importlib.util.module_from_spec(spec)
        for of in (name, file.removesuffix(".py").replace("/", ".")):
            monkeypatch.setitem(sys.modules, of, modules[path.stem])
        spec.loader.exec_module(modules[path.stem])
    return modules


def test_each_table_that_the_page_names_is_in_the_file_that_it_names() -> None:
    named = re.findall(r"`(_?[A-Z][A-Z_]+)`,? (?:of|in) `([\w/]+\.py)`", PAGE)
    assert len(named) > 6
    assert [(table, file) for table, file in named if not re.search(rf"^{table}\b.* =", read(file), re.MULTILINE)] == []


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def test_the_files_of_the_page_are_not_there_yet() -> None:
    """Or are those of a reader who follows the page, whose tests pass."""
    there = [file for file in re.findall(r"Create `([^`]+)`", PAGE) if (ROOT / file).exists()]
    assert not [file for file in there if (ROOT / file).read_text(encoding="utf-8") != example(file)]


def test_the_names_that_a_reader_looks_for_stand_in_their_files() -> None:
    named = re.findall(r"`(\w+)` (?:in|of|\()\s*`([\w/]+\.py)`", PAGE)
    assert len(named) > 14
    assert not [(name, file) for name, file in named if not re.search(rf"\b{name}\b", (ROOT / file).read_text("utf-8"))]


def test_the_method_makes_frames_and_pools_them(imported: dict[str, ModuleType], tmp_path: Path) -> None:
    frames = imported["levels"].levels(np.concatenate([np.ones(80), np.zeros(20)]).astype(np.float32), hop=80)
    np.testing.assert_allclose(frames, [[0], [-80]], atol=1e-4)
    soundfile.write(tmp_path / "a.wav", np.ones(400) / 2, 4000)
    clip = Clip(path="a.wav", num_samples=400, sample_rate=4000, sha256="a", split="train")
    reading = reading_of(Clips.from_rows(tmp_path, [clip]), sample_rate=4000)
    settings = run_settings(composed(tmp_path))
    trial = Trial(session=silent_session(tmp_path), settings=settings, reading=reading, unlabelled=())
    artifact = imported["levels"].features(trial, replace(METHODS["mfcc"], name="levels"))
    assert {*load_file(artifact.folder / FEATURES)} == {"levels:mean", "levels:thirds"}


def test_the_backbone_is_probed_and_has_a_head(imported: dict[str, ModuleType], tmp_path: Path) -> None:
    module = imported["recurrent"]
    backbone = module.RecurrentBackbone(audio=SpectrogramConfig(n_mels=8), dim=4, layers=2)
    assert isinstance(backbone, LogMelBackbone)
    save_file({"mean": torch.zeros(8), "std": torch.ones(8)}, tmp_path / SAMPLE)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 4000), 16_000)
    clip = Clip(path="a.wav", num_samples=4000, sample_rate=16_000, sha256="a")
    [vectors] = LayerReader(backbone=backbone, root=tmp_path, statistics=tmp_path, device="cpu")([View(clip)])
    layers = ("layer_1", "layer_2", "all_layers")
    assert {*backbone.candidates(vectors, VectorConfig())} == {
        f"{layer}:{pooling}" for pooling in ("mean", "thirds") for layer in layers
    }
    assert vectors["layer_2:thirds"].shape == (12,)
    task = create_task(ClassificationOptions(), ["a", "b"], [])
    network = create_network(backbone, backbone.create(seed=0), task, seed=0)
    write_model(tmp_path / "model", network, {})
    again = backbone.create(seed=1, weights=tmp_path / "model")
    assert isinstance(again, module.Recurrent)
    assert all(torch.equal(own, again.state_dict()[name]) for name, own in network.backbone.state_dict().items())
    outputs, steps = network(torch.randn(2, 9, 8), torch.tensor([9, 5]))
    assert (outputs.shape, steps.tolist()) == ((2, 1, 2), [1, 1])


def test_the_facts_of_the_backbone_are_options_and_methods_that_a_run_compares(
    imported: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm.backbones.recurrent", imported["recurrent"])
    names = {
        "dataclass": dataclass,
        "option": option,
        "BackbonesOfRun": BackbonesOfRun,
        **vars(imported["recurrent_backbone"]),
    }
    exec(f"@dataclass(frozen=True, kw_only=True)\nclass Backbones(BackbonesOfRun):\n    {printed('gru: ')}", names)
    backbones = names["Backbones"]()
    assert {"gru.dim", "gru.layers", "gru.fit.steps"} <= {*index_of(type(backbones)).options}
    with pytest.raises(InputError) as refused:
        imported["recurrent_backbone"].RecurrentSettings(layers=0)
    assert refused.value.option == "layers"
    fit = FitConfig(steps=2, warmup_steps=1, validate_every=1, precision="fp32")
    settings = imported["recurrent_backbone"].RecurrentSettings(dim=4, fit=fit, batches=ClipBatchConfig(batch_size=2))
    learned, random = (replace(method, backbone="gru") for method in settings.methods)
    assert learned.untrained == random.name
    assert type(backbones.gru) is type(settings)
    sound = np.random.default_rng(0).uniform(-1, 1, 4000).astype(np.float32)
    splits: tuple[Split, ...] = ("train", "train", "validation", "test")
    clips = [
        write_clip(tmp_path, f"{number}.wav", sound[number:], AUDIO.sample_rate, label="ab"[number % 2], split=split)
        for number, split in enumerate(splits)
    ]
    session, corpus = silent_session(tmp_path / "store"), Clips.from_rows(tmp_path, clips)
    sample, reading = frame_sample(session, corpus, AUDIO, TokenizerSettings()), reading_of(corpus)
    network = settings.network(reading, learned, sample)
    artifact = network.train(
        session, reading, AugmentedInputs(artifact=spectrograms(session, corpus, AUDIO, sample)), ("a", "b")
    )
    found = [load_file(network.features(session, reading, "gru", made).folder / FEATURES) for made in (None, artifact)]
    for arrays in found:
        assert {key.partition(":")[0] for key in arrays} == {"gru/layer_1", "gru/all_layers"}
    assert not np.array_equal(*(arrays["gru/layer_1:mean"] for arrays in found))


def test_the_kind_of_sound_makes_all_samples(imported: dict[str, ModuleType]) -> None:
    make, table = imported["sines"].sines, random_table()
    kind = SynthesisMethod(key="sines", title="sines", explanation="", marker="+", stream=make)
    codes = table.codes([1, 2, 3])
    syntheses = [create_synthesis(kind, table, Sampling(seed=seed)) for seed in (0, 1)]
    one, other = (synthesis.sounds([codes], [None], names=["a"])[0].samples for synthesis in syntheses)
    assert len(one) == codes.num_samples
    assert np.abs(one).max() > 0
    assert not np.array_equal(one, other)


def test_the_stage_measures_training_clips(imported: dict[str, ModuleType], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.25, -0.5, 0.0]), 8000)
    clips = [
        Clip(path="a.wav", num_samples=3, sample_rate=8000, sha256=split, split=split) for split in ("train", "test")
    ]
    artifact = imported["peaks"].peaks(silent_session(tmp_path), Clips.from_rows(tmp_path, clips[:1]), 8000)
    assert artifact.read_json("peaks.json") == {"a.wav": 0.5}
    assert imported["peaks"].peaks(silent_session(tmp_path), Clips.from_rows(tmp_path, clips), 8000) == replace(
        artifact, reused=True
    )


def test_the_figure_is_measured() -> None:
    last, line = '"verdict": collapse(counts),', printed('"largest_share": ')
    measure = changed(health, (last, f"{line}\n{last}"))["measure_health"]
    tokenizer, samples = fitted(PatchConfig(frames=4), 8), sound(1.0)
    codes = tokenizer.encode_own([samples])
    found = measure(tokenizer, [codes], lambda: [samples], seed=0)
    assert json.loads(json.dumps(found))["largest_share"] == np.bincount(codes.values[:, 0]).max() / len(codes.values)


def test_the_option_has_a_range_and_drops_embeddings_in_training() -> None:
    names: dict[str, Any] = {"dataclass": dataclass, "GPTConfig": GPTConfig, "option": option}
    field = printed("embedding_dropout: ")
    exec(f"@dataclass(frozen=True, kw_only=True)\nclass Config(GPTConfig):\n    {field}", names)
    assert names["Config"]().architecture == GPTConfig().architecture | {"embedding_dropout": 0.0}
    with pytest.raises(InputError) as refused:
        names["Config"](embedding_dropout=1.0)
    assert refused.value.option == "embedding_dropout"
    first = "self.vocabulary = vocabulary"
    old = "decoded: Tensor = self.transformer.decoder(*self.embed(tokens))"
    new = f"{printed('embedded, layout =')}\n{printed('decoded: Tensor =')}"
    edited = changed(lm.gpt, (first, f"{first}\n{printed('self.dropout =')}"), (old, new))
    vocabulary, tokens = Vocabulary.of(codes_format()), torch.tensor([[7, 1, 2, 3]])
    dropping = edited["create_gpt"](names["Config"](**vars(TINY), embedding_dropout=0.5), vocabulary, seed=0)
    plain = lm.gpt.create_gpt(TINY, vocabulary, seed=0)(tokens)
    assert not torch.equal(dropping(tokens), plain)
    assert torch.equal(dropping.eval()(tokens), plain)


def test_the_command_refuses_what_is_out_of_range(imported: dict[str, ModuleType]) -> None:
    with pytest.raises(InputError) as refused:
        imported["lengths"].LengthsConfig(input=Path("codes.parquet"), shortest=-1)
    assert refused.value.option == "shortest"


def test_the_corpus_sets_options_that_there_are() -> None:
    known = nested(index_of(CorpusConfig).options.values())
    corpus = yaml.safe_load(example("conf/corpus/animals.yaml"))["corpus"]
    assert set(corpus) <= set(known)
    assert set(corpus["split"]) <= {*nested(index_of(SplitConfig).options.values())}


NOTEBOOK = ROOT / "docs/tour.ipynb"


def test_the_notebook_is_stored_with_its_outputs_and_no_place_of_a_machine() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [
        *range(1, len(cells) + 1)
    ]  # as they ran, one after the other
    shown = [output for cell in cells for output in cell["outputs"]]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    assert (kinds.count("image/png"), kinds.count("text/html")) == (1, 3)
    text = "".join("".join(output.get("text", "")) for output in shown)
    assert "report.html" in text
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work|Users)\b|\x1b|Warning: .*\.py", text)
    assert NOTEBOOK.stat().st_size < 200_000


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason="needs pip install 'wordless[docs]'")
    import nbclient
    import nbformat

    set_up(tmp_path)
    for name, value in {**environment(tmp_path), "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path / "work")}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "report.html" in printed
    assert "% of 12 test clips" in printed
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 1
    assert kinds.count("text/html") == 3  # players
