"""The table of all bodies."""

from lm.bodies.ast_body import AstBody
from lm.bodies.audio_transformer import AudioTransformerBody
from lm.bodies.body import Body
from lm.bodies.gpt import GptBody
from lm.bodies.speech import Wav2vec2Body

BODIES: dict[str, type[Body]] = {each.name: each for each in (GptBody, AstBody, Wav2vec2Body, AudioTransformerBody)}
