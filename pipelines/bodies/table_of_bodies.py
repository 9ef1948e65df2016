"""The table of bodies: whose options a run has, and whose methods the comparison has."""

from dataclasses import dataclass, fields, replace

from pipelines.bodies.ast_body import AstSettings
from pipelines.bodies.audio_transformer_body import AudioTransformerSettings
from pipelines.bodies.cnn_body import BaselineSettings
from pipelines.bodies.network_options import FEATURES_OF_BODIES
from pipelines.bodies.sound_gpt_body import SoundGPTSettings
from pipelines.bodies.wav2vec2_body import Wav2vec2Settings
from pipelines.methods.method import BodySettings
from wordless.base.options import Options, option

# module:function: features of methods that name no function, and the judge of labels that is the network of a method
FEATURES = f"{FEATURES_OF_BODIES}:features_of_network"
JUDGE = f"{FEATURES_OF_BODIES}:network_judge"


@dataclass(frozen=True, kw_only=True)
class BodiesOfRun(Options):
    """The bodies of a run, each a group of options."""

    baselines: BaselineSettings = option(BaselineSettings(), "SimCLR and supervised networks", group="small")
    gpt_sound: SoundGPTSettings = option(SoundGPTSettings(), "GPTs of changed copies of sound or codes", group="small")
    ast: AstSettings = option(AstSettings(), "the Audio Spectrogram Transformer of the comparison", group="small")
    audio_transformer: AudioTransformerSettings = option(
        AudioTransformerSettings(), "the Audio Transformer of waveforms of the comparison", group="small"
    )
    wav2vec2: Wav2vec2Settings = option(Wav2vec2Settings(), "wav2vec 2.0 and models of its kind", group="small")


BODIES: dict[str, BodySettings] = {field.name: getattr(BodiesOfRun(), field.name) for field in fields(BodiesOfRun)}
METHODS_OF_BODIES = [
    replace(method, body=name, features=method.features or FEATURES)
    for name, body in BODIES.items()
    for method in body.methods
]
