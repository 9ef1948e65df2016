"""Options of a comparison of language models of samples in seconds."""

_WAVENET = ("residual_channels=8", "gate_channels=16", "skip_channels=8", "layers=4")
SAMPLES = (
    *("stages=[next_sample,report]", "next_sample=tiny", "threads=1"),
    *(f"next_sample.{name}.{size}" for name in ("wavenet", "wavenet_large") for size in _WAVENET),
    *("next_sample.transformer.model_dim=8", "next_sample.transformer.layers=2", "next_sample.transformer.ffn_dim=12"),
    *("next_sample.transformer.context_ms=2", "next_sample.transformer_context.ffn_dim=12"),
    *("next_sample.transformer_context.context.strides=[4,4]", "next_sample.transformer_context.context.layers=2"),
    *("next_sample.parameter_tolerance=1.0", "next_sample.crops.batch_size=2", "next_sample.crops.samples=60"),
    *("next_sample.fit.steps=8", "next_sample.fit.validate_every=4", "next_sample.fit.warmup_steps=2"),
    *("next_sample.test_crops=4", "next_sample.sounds.seconds=0.01", "next_sample.sounds.prompt_seconds=0.02"),
)
