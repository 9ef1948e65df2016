"""What a run is expected to cost names the stages that it has."""

from pathlib import Path

from pipelines.chain.forecast import expected_costs
from pipelines.jobs.run_rules import run_settings
from tests.pipelines.tiny_chain import composed
from wordless.audio.recordings.manifest import Clip, Clips

CLIPS = Clips.from_rows(
    Path(), [Clip(path=f"{n}.wav", num_samples=16_000, sample_rate=16_000, split="train") for n in range(9)]
)
SENTENCES = ("embedded.words=null", "embedded.repetitions=null", "embedded.voices=5", "embedded.sentences=4")


def costs(*words: str) -> dict[str, tuple[int, float]]:
    settings = run_settings(composed(Path("store"), *SENTENCES, "zerospeech.voices=4", *words))
    return expected_costs(settings, CLIPS, trials=1)


def test_each_stage_that_takes_long_is_expected() -> None:
    stages = "stages=[tokenizer,lm,probe,vocoder,zerospeech,report]"
    found = costs(stages)
    trained = {"autoencoder", "lm", "code_decoder", "vocoder"}
    assert {*trained, "codes", "decoded", "judged", "recognised", "spoken_pairs"} <= {*found}
    assert all(seconds > 0 for _, seconds in found.values())
    assert "code_decoder" not in costs(stages, "tokenizer.decoder=null")
    assert not {"spoken_pairs", "judged", "lm"} & {*costs("stages=[tokenizer]")}
