"""The commands of ``wordless``."""

COMMANDS = {
    "run": "the whole chain: recordings -> codes -> language model -> vocoder -> report.html",
    "encode": "recordings -> codes (Parquet, or text units that other tools read)",
    "embed": "recordings -> feature vectors, such as those that the run's probe reads (NumPy, Parquet)",
    "generate": "a language model continues a prompt, or speaks from silence",
    "decode": "codes -> sound",
    "score": "how probable does the language model find recordings? nats, bits per second, perplexity",
    "probe": "what do the representations know? linear probes on labels",
    "finetune": "train a body, pre-trained or not, to predict classes, numbers or text from labelled recordings",
    "predict": "what a fine-tuned model predicts for recordings",
    "demo": "a page in the browser with the spectrogram, codes, predicted label and continuation of your sounds",
    "publish": "the models of a run on the Hugging Face hub, with a model card, or as ONNX files",
    "report": "draw report.html from the results of a run",
    "runs": "the runs so far with their options and figures; --delete NAME, --prune",
    "store": "what a store holds, and whether it is as it was written: wordless store --verify",
    "doctor": "what is installed, and what to do about what is missing; model=RUN: what is wrong with its sound",
    "bench": "speed and memory of a stage, such as: wordless bench encode",
}

# the dataclass with the options of each command; those of finetune stand in conf/
OPTIONS = {
    "run": "pipelines.settings.run:RunSettings",
    "probe": "pipelines.settings.probe:ProbeRunConfig",
    "encode": "pipelines.encode:EncodeConfig",
    "embed": "pipelines.embed:EmbedConfig",
    "generate": "pipelines.generate:GenerateConfig",
    "decode": "pipelines.decode:DecodeConfig",
    "score": "pipelines.score:ScoreConfig",
    "predict": "pipelines.predict:PredictConfig",
    "demo": "pipelines.demo:DemoConfig",
    "publish": "pipelines.publish:PublishConfig",
    "report": "pipelines.report:ReportConfig",
    "runs": "pipelines.runs:RunsConfig",
    "store": "pipelines.store_listing:ListingConfig",
    "doctor": "pipelines.doctor:DoctorConfig",
    "bench": "pipelines.bench:BenchConfig",
}

MODULES = {"store": "store_listing"}  # of commands whose module has another name
