"""The language models of codes: the table of their kinds, by which `LanguageModel` creates and opens the right one."""

from lm.code_model import LanguageModel as LanguageModel
from lm.code_model import LanguageModelKinds
from lm.pitch import WithStreams
from lm.rates import RatesModel, Upsampler

# A base cannot import its subclasses: the package imports this file, so the table is always there.
LanguageModel.kinds = LanguageModelKinds(
    upsampler=Upsampler, side_streams=WithStreams, join_rates=RatesModel, open_rates=RatesModel.of_folder
)
