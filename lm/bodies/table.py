"""The table of all bodies: the description and the options of each."""

from dataclasses import dataclass

from lm.bodies.ast_body import AstBody, AstOptions
from lm.bodies.audio_transformer import AudioTransformerBody, AudioTransformerOptions
from lm.bodies.body import Body, BodyOptions
from lm.bodies.gpt import GptBody, GptOptions
from lm.bodies.speech import Wav2vec2Body, Wav2vec2Options


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
