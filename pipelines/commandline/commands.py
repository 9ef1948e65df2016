"""The table of the commands of ``wordless``. Their modules are named, because each takes a while to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A command of the table."""

    purpose: str
    options: str  # module and name of the dataclass with its options
    # module:function that does the work; it gets what `check` returns. Empty: `check` does everything
    job: str = ""
    # module:function that checks the composed config, and imports nothing slow. Empty: the function in the module of
    # `options` that has the name of the command, which gets the options
    check: str = ""
    meant: tuple[str, ...] = ()  # words that people try for the command
    # switch -> option; if the option has no "=", the next word is its value
    switches: Mapping[str, str] = field(default_factory=dict)


COMMANDS = {
    "run": Command(
        "the whole chain: recordings -> codes -> language model -> vocoder -> report.html",
        "pipelines.settings.run_settings:RunSettings",
        check="pipelines.run:run",
        meant=("train", "fit", "pretrain", "start"),
    ),
    "encode": Command(
        "recordings -> codes (Parquet, or text units that other tools read)",
        "pipelines.recordings:EncodeConfig",
        "pipelines.jobs.coding:encode_recordings",
    ),
    "embed": Command(
        "recordings -> feature vectors, such as those that the run's probe reads (NumPy, Parquet)",
        "pipelines.recordings:EmbedConfig",
        "pipelines.jobs.embedding:embed_recordings",
    ),
    "generate": Command(
        "a language model continues a prompt, or speaks from silence",
        "pipelines.speech:GenerateConfig",
        "pipelines.jobs.speaking:generate_sounds",
    ),
    "decode": Command("codes -> sound", "pipelines.speech:DecodeConfig", "pipelines.jobs.speaking:decode_codes"),
    "find": Command(
        "the places in recordings that sound like a query: a table, and a page with players",
        "pipelines.extras.find:FindConfig",
        "pipelines.extras.find.places:find_in_recordings",
    ),
    "score": Command(
        "how probable does the language model find recordings? nats, bits per second, perplexity",
        "pipelines.recordings:ScoreConfig",
        "pipelines.jobs.coding:score_recordings",
    ),
    "probe": Command(
        "what do the representations know? linear probes on labels",
        "pipelines.run:ProbeRunConfig",
        "pipelines.jobs.embedding:probe_run",
        check="pipelines.run:probe",
    ),
    "finetune": Command(
        "train a body, pre-trained or not, to predict classes, numbers or text from labelled recordings",
        "pipelines.extras.finetune:FinetuneConfig",
        "pipelines.extras.finetune.finetune_body:finetune_body",
        check="pipelines.extras.finetune:finetune",
        meant=("classify", "classifier", "fine-tune", "tune"),
    ),
    "predict": Command(
        "what a run's best probe, or a fine-tuned model, predicts for recordings",
        "pipelines.recordings:PredictConfig",
        "pipelines.jobs.predict:predict_recordings",
    ),
    "demo": Command(
        "a page in the browser with the spectrogram, codes, predicted label and continuation of your sounds",
        "pipelines.extras.demo:DemoConfig",
        "pipelines.extras.demo.server:serve",
    ),
    "figures": Command(
        "the charts of a run or a sweep as files for a paper: PDF, SVG or PNG",
        "pipelines.extras.figures:FiguresConfig",
        "pipelines.extras.figures.chart_files:write_figures",
        meant=("charts", "plot"),
    ),
    "publish": Command(
        "the models of a run on the Hugging Face hub, with a model card",
        "pipelines.extras.publish:PublishConfig",
        "pipelines.extras.publish.publishing:write",
    ),
    "runs": Command(
        "the runs so far with their options and figures; --delete NAME, --prune DAYS",
        "pipelines.runs:RunsConfig",
        meant=("list", "ls", "prune", "delete"),
        switches={"--delete": "delete", "--prune": "prune", "--yes": "ask=false"},
    ),
    "store": Command(
        "what a store holds, and whether it is as it was written",
        "pipelines.runs:ListingConfig",
    ),
    "doctor": Command(
        "what is installed, and what to do about what is missing",
        "pipelines.doctor:DoctorConfig",
        meant=("check", "info"),
    ),
}
