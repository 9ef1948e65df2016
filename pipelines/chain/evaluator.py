"""The classifier of labels that evaluates the sounds of a run."""

from lm.probing.task import ProbeTask
from pipelines.backbones.features_of_backbones import network_evaluator
from pipelines.chain.trial import Trial
from pipelines.methods.methods_table import METHODS
from pipelines.stages.features import CodedViews, code_features, log_mel_features
from pipelines.stages.listening import PROBED, Evaluator, create_probe_evaluator
from pipelines.stages.probing import probed
from tokenizer.encoder import Encoder


def create_evaluator(trial: Trial, task: ProbeTask) -> Evaluator:
    """Return the classifier of labels, of clips as they are; a comparison may have made its artifacts."""
    name, session, tokens = trial.settings.listening.evaluator, trial.session, trial.artifacts["tokenizer"]
    if name not in PROBED:
        return network_evaluator(trial, METHODS[name], task)
    method, _ = PROBED[name]
    if name == "codes":
        features = code_features(session, CodedViews(codes=trial.artifacts["codes"]))
    else:
        features = log_mel_features(session, trial.plain, tokens)
    probe = probed(session, trial.manifest, trial.settings.probe, method, {method: features})
    trial.add_for_evaluator(features, f"{method}_features")
    trial.add_for_evaluator(probe, f"probed_{method}")
    encoder = Encoder(folder=tokens.place, root=trial.manifest.root, device=str(session.gang.device))
    return create_probe_evaluator(name, encoder, probe)
