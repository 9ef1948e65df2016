"""The table of all bodies: the description and the options of each."""

from dataclasses import dataclass

from lm.finetuning.bodies.audio_transformer import AudioTransformerBody, AudioTransformerOptions
from lm.finetuning.bodies.gpt import GptBody, GptOptions
from lm.finetuning.bodies.spectrogram_transformer import AstBody, AstOptions
from lm.finetuning.bodies.wav2vec2 import Wav2vec2Body, Wav2vec2Options
from lm.finetuning.body import Body, BodyOptions


@dataclass(frozen=True, kw_only=True)
class BodyKind:
    """A body of the table."""

    title: str  # in tables and messages
    body: type[Body]
    options: type[BodyOptions]


BODIES: dict[str, BodyKind] = {
    "gpt": BodyKind(title="GPT over codes", body=GptBody, options=GptOptions),
    "ast": BodyKind(title="Audio Spectrogram Transformer", body=AstBody, options=AstOptions),
    "wav2vec2": BodyKind(title="wav2vec 2.0 and its kin", body=Wav2vec2Body, options=Wav2vec2Options),
    "audio_transformer": BodyKind(
        title="Audio Transformer", body=AudioTransformerBody, options=AudioTransformerOptions
    ),
}
