"""MOS predictors, which rate decoded speech and its recordings: facts."""

from pipelines.plugins.plugin import Plugin

PLUGIN = Plugin(
    name="speech_judges",
    explanation="models that rate decoded speech; needs wordless[judges]",
    needs=("codes",),
    page="speech_judges/opinions.html.jinja",
    link="MOS prediction",
    late=True,
    measures={
        "dnsmos": ("MOS", "DNSMOS P.808", "clips with sound, for DNSMOS"),
        "dnsmos_overall": ("MOS", "DNSMOS P.835, overall"),
        "dnsmos_voice": ("MOS", "DNSMOS P.835, voice"),
        "dnsmos_background": ("MOS", "DNSMOS P.835, background"),
        "distillmos": ("MOS", "DistillMOS", "clips with sound, for DistillMOS"),
    },
)
