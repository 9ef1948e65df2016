"""The table of the commands of ``wordless``."""

from collections.abc import Mapping

from pipelines.commandline.command import Command
from pipelines.jobs.coding import encode_recordings, score_recordings
from pipelines.jobs.embedding import embed_recordings, probe_run
from pipelines.jobs.predict import predict_recordings
from pipelines.jobs.run_chain import run
from pipelines.jobs.speaking import decode_codes, generate_sounds
from pipelines.jobs.sweep_runs import RUN_FOLDERS
from pipelines.plugins.demo import DemoConfig
from pipelines.plugins.demo.server import serve
from pipelines.plugins.finetune import FinetuneConfig
from pipelines.plugins.finetune.finetune_backbone import finetune_backbone
from pipelines.probe_run import ProbeRunConfig
from pipelines.recordings import EmbedConfig, EncodeConfig, PredictConfig, ScoreConfig
from pipelines.runs import RunsConfig, runs
from pipelines.settings.run_settings import RunSettings
from pipelines.speech import DecodeConfig, GenerateConfig

COMMANDS: Mapping[str, Command] = {
    "run": Command(
        name="run",
        purpose="the whole chain: recordings -> codes -> language model -> vocoder -> report.html",
        options=RunSettings,
        run=run,
        takes_config=True,
        folders=RUN_FOLDERS,
        synonyms=("train", "fit", "pretrain", "start"),
    ),
    "encode": Command(
        name="encode",
        purpose="recordings -> codes (Parquet, or text units as fairseq reads them)",
        options=EncodeConfig,
        run=encode_recordings,
    ),
    "embed": Command(
        name="embed",
        purpose="recordings -> feature vectors, such as those that the run's probe reads (NumPy, Parquet)",
        options=EmbedConfig,
        run=embed_recordings,
    ),
    "generate": Command(
        name="generate",
        purpose="a language model continues a prompt, or speaks from silence",
        options=GenerateConfig,
        run=generate_sounds,
    ),
    "decode": Command(
        name="decode",
        purpose="codes -> sound",
        options=DecodeConfig,
        run=decode_codes,
    ),
    "score": Command(
        name="score",
        purpose="how probable does the language model find recordings? nats, bits per second, perplexity",
        options=ScoreConfig,
        run=score_recordings,
    ),
    "probe": Command(
        name="probe",
        purpose="what do the representations know? linear probes on labels",
        options=ProbeRunConfig,
        run=probe_run,
        takes_config=True,
    ),
    "finetune": Command(
        name="finetune",
        purpose="train a backbone, pre-trained or not, to predict classes, numbers or text from labelled recordings",
        options=FinetuneConfig,
        run=finetune_backbone,
        takes_config=True,
        synonyms=("classify", "classifier", "fine-tune", "tune"),
    ),
    "predict": Command(
        name="predict",
        purpose="what a run's best probe, or a fine-tuned model, predicts for recordings",
        options=PredictConfig,
        run=predict_recordings,
    ),
    "demo": Command(
        name="demo",
        purpose="a page in the browser with the spectrogram, codes, predicted label and continuation of your sounds",
        options=DemoConfig,
        run=serve,
    ),
    "runs": Command(
        name="runs",
        purpose="the runs so far with their options and figures",
        options=RunsConfig,
        run=runs,
        synonyms=("list", "ls"),
    ),
}
