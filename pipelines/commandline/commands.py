"""The table of the commands of ``wordless``. Their modules are named, because each takes a while to import."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of the table."""

    purpose: str
    options: str  # module and name of the dataclass with its options
    module: str = ""  # of `pipelines`, if it has another name than the command


COMMANDS = {
    "run": Command(
        "the whole chain: recordings -> codes -> language model -> vocoder -> report.html",
        "pipelines.settings.run:RunSettings",
    ),
    "encode": Command(
        "recordings -> codes (Parquet, or text units that other tools read)", "pipelines.encode:EncodeConfig"
    ),
    "embed": Command(
        "recordings -> feature vectors, such as those that the run's probe reads (NumPy, Parquet)",
        "pipelines.embed:EmbedConfig",
    ),
    "generate": Command(
        "a language model continues a prompt, or speaks from silence", "pipelines.generate:GenerateConfig"
    ),
    "decode": Command("codes -> sound", "pipelines.decode:DecodeConfig"),
    "find": Command(
        "the places in recordings that sound like a query: a table, and a page with players",
        "pipelines.find:FindConfig",
    ),
    "score": Command(
        "how probable does the language model find recordings? nats, bits per second, perplexity",
        "pipelines.score:ScoreConfig",
    ),
    "probe": Command("what do the representations know? linear probes on labels", "pipelines.probe:ProbeRunConfig"),
    "finetune": Command(
        "train a body, pre-trained or not, to predict classes, numbers or text from labelled recordings",
        "pipelines.finetune:FinetuneConfig",
    ),
    "predict": Command("what a fine-tuned model predicts for recordings", "pipelines.predict:PredictConfig"),
    "demo": Command(
        "a page in the browser with the spectrogram, codes, predicted label and continuation of your sounds",
        "pipelines.demo:DemoConfig",
    ),
    "publish": Command(
        "the models of a run on the Hugging Face hub, with a model card, or as ONNX files",
        "pipelines.publish:PublishConfig",
    ),
    "runs": Command(
        "the runs so far with their options and figures; --delete NAME, --prune DAYS", "pipelines.runs:RunsConfig"
    ),
    "store": Command(
        "what a store holds, and whether it is as it was written: wordless store --verify",
        "pipelines.store_listing:ListingConfig",
        module="store_listing",
    ),
    "doctor": Command(
        "what is installed, and what to do about what is missing; model=RUN: what is wrong with its sound",
        "pipelines.doctor:DoctorConfig",
    ),
}
