"""Folders of models: each loader says which kind of model a folder holds instead of its own."""

import errno
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lm.finetuned import FineTunedModel, create_network, create_task
from lm.finetuning import ClassificationOptions
from lm.model import LanguageModel
from lm.probing.probe import FittedProbe, ProbeDescription, ProbeNetwork, VectorRecipe
from lm.samples.sample_model import SampleLanguageModel, create_sample_model
from pipelines.plugins.finetune import GptFinetuneSettings
from tests.calling import ROOT, python
from tests.lm.samples.tiny import TRANSFORMER
from tests.pipelines.tiny import GPT, save_rates_run, save_run, sweep
from tests.tokenizer.conftest import PITCH, speech_tokenizer
from tokenizer.tokenizer import Tokenizer
from vocoder.unlearned import griffin_lim
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import Sampling
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError
from wordless.base.saved_models import MODEL_KINDS, ModelKind, whole

LOADERS: dict[str, Callable[[Path], Any]] = {
    "tokenizer": Tokenizer.from_pretrained, "lm": LanguageModel.from_pretrained, "vocoder": Vocoder.from_pretrained,
    "next_sample_transformer": SampleLanguageModel.from_pretrained, "finetuned": FineTunedModel.from_pretrained,
    "probe": FittedProbe.from_pretrained,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_run(tmp_path_factory.mktemp("kinds") / "run", seed=0)
    SampleLanguageModel(create_sample_model(TRANSFORMER, seed=0)).save_pretrained(folder / "next_sample_transformer")
    source = GptFinetuneSettings().open({part: folder / part for part in ("tokenizer", "lm")})
    task = create_task(ClassificationOptions(), ["one", "two"], [])
    network = create_network(source.backbone, source.create(seed=0), task, seed=0)
    tuned = FineTunedModel(network, source.backbone, task)
    tuned.save_pretrained(folder / "finetuned", front_end=folder)
    fitted = {"dim": 4, "power": 1.0, "clipping": 3.0, "test_accuracy": 0.5, "chance": 0.5, "answer": "one"}
    read = ProbeDescription(of="gpt/layer_1:mean", recipe=VectorRecipe(), classes=("one", "two"), **fitted)  # type: ignore[arg-type]
    FittedProbe(ProbeNetwork(4, 2), read).save_pretrained(folder / "probe")
    return folder


@pytest.mark.parametrize("wanted", MODEL_KINDS, ids=lambda kind: kind.part)
@pytest.mark.parametrize("given", MODEL_KINDS, ids=lambda kind: kind.part)
def test_a_sound_model_of_another_kind_is_called_by_its_name(run: Path, wanted: ModelKind, given: ModelKind) -> None:
    load, folder = LOADERS[wanted.part], run / given.part
    if wanted == given:
        load(folder)
        return
    with pytest.raises(InputError, match=rf"^{folder} .*\b{given.name}\b.*\b{wanted.name}\b.* {run / wanted.part}$"):
        load(folder)


# A process in which each module is the first that is imported opens the folders, by every class of a name that the
# module has; and it opens them by the classes of pickled models.
_ALONE = """
import pickle, sys
from importlib import import_module
from pathlib import Path

modules, pickles, folders = (text.split() for text in sys.argv[1:])
opened = 0

def open_all(kind):
    global opened
    for folder in folders:
        if Path(folder).name == {"LanguageModel": "lm", "Tokenizer": "tokenizer"}[kind.__name__]:
            kind.from_pretrained(folder)
            opened += 1

def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lm", "tokenizer")]:
        del sys.modules[name]

for module in modules:
    forget()
    for name in {"LanguageModel", "Tokenizer"} & vars(import_module(module)).keys():
        open_all(getattr(sys.modules[module], name))
for file in pickles:
    forget()
    kind = type(pickle.loads(Path(file).read_bytes()))
    open_all(next(each for each in kind.__mro__ if each.__name__ in ("LanguageModel", "Tokenizer")))
print(opened)
"""


def test_models_of_every_kind_open_whichever_file_is_imported_first(run: Path, tmp_path: Path) -> None:
    rates = save_rates_run(tmp_path / "rates", seed=0)
    pitched = replace(Tokenizer.from_pretrained(run / "tokenizer").format, streams=2, pitch=PITCH)
    LanguageModel.create(GPT, pitched, seed=0).save_pretrained(tmp_path / "pitched/lm")
    speech_tokenizer(tmp_path / "hubert").save_pretrained(tmp_path / "speech/tokenizer")
    folders = [run / "lm", rates / "lm", tmp_path / "pitched/lm"]
    folders += [run / "tokenizer", rates / "tokenizer", tmp_path / "speech/tokenizer"]
    pickles = dict[Path, Path]()
    for folder in folders[:-1]:  # PyTorch pickles no speech model
        file = pickles[folder] = tmp_path / f"{len(pickles)}.pickle"
        file.write_bytes(pickle.dumps(LOADERS[folder.name](folder)))
    files = [path.relative_to(ROOT) for package in ("lm", "tokenizer") for path in (ROOT / package).rglob("*.py")]
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    done = python("-c", _ALONE, *(" ".join(map(str, each)) for each in (modules, pickles.values(), folders)))
    assert done.returncode == 0, done.stderr
    with_a_class = {"lm.model", "tokenizer.tokenizer"}
    assert int(done.stdout) >= 3 * (len(with_a_class) + len(pickles))  # three kinds each


def answers(models: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    tokenizer, lm, vocoder, tuned = (models[name] for name in ("tokenizer", "lm", "vocoder", "finetuned"))
    sound = Waveform(samples=sweep(0.3, 4000), sample_rate=4000)
    codes = tokenizer.encode(sound)
    samples = models["next_sample_transformer"]
    return {
        "codes": codes.values,
        "resampled": tokenizer.encode(sweep(0.3, 8000).astype(np.float64), 8000).values,
        "scores": lm.log_probabilities(codes), "states": lm.hidden_states(codes).numpy(),
        "continuation": lm.generate(codes, seconds=0.1).values, "sound": vocoder.decode(codes, tokenizer).samples,
        "griffin_lim": torch.cat([*griffin_lim(codes, tokenizer)]).numpy(),
        "predicted": np.array([str(tuned.predict([sound]))]),
        "samples": samples.generate([None], seconds=0.05, sampling=Sampling())[0].samples,
        "probed": models["probe"].scores(np.ones((2, 4), np.float32)),
    }  # fmt: skip


def test_models_do_not_depend_on_the_default_type_of_pytorch(run: Path) -> None:
    models = {name: load(run / name) for name, load in LOADERS.items()}
    engine_of_pytorch = Vocoder.from_pretrained(run / "vocoder", engine="torch")
    expected = answers(models)
    torch.set_default_dtype(torch.float64)
    try:
        loaded = {name: load(run / name) for name, load in LOADERS.items()}
        for found in (answers(models), answers(loaded), answers(models | {"vocoder": engine_of_pytorch})):
            for name, each in expected.items():
                assert found[name].dtype == each.dtype, name
                assert name == "sound" or np.array_equal(found[name], each), name  # engines may round otherwise
    finally:
        torch.set_default_dtype(torch.float32)


def test_models_can_be_sent_to_other_processes(run: Path) -> None:
    models = {name: load(run / name) for name, load in LOADERS.items()}
    sent = pickle.loads(pickle.dumps(models))
    expected, found = answers(models), answers(sent)
    assert not [name for name in expected if not np.array_equal(found[name], expected[name])]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        PermissionError(errno.EACCES, "Permission denied", "model.safetensors"),
        OSError(errno.EMFILE, "Too many open files", "model.safetensors"),
        KeyboardInterrupt(),
    ],
)
def test_what_the_machine_refuses_is_no_damage(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(BaseException) as told, whole(tmp_path, "tokenizer", remedy="make it again"):  # noqa: PT011
        raise error
    assert told.value is error or isinstance(told.value, InputError)
    assert "damaged" not in str(told.value)
