"""What a supervised encoder's own head says of pooled features, beside what the whole classifier says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lm.baselines.block_features import head_scores
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.supervised import HeadConfig, class_scores, create_classifier
from lm.pooling import POOLINGS, Pooling, pool
from wordless.base.saved_models import CONFIG, WEIGHTS

ENCODER = ConvEncoderConfig(channels=(4, 8), time_strides=(2, 1), mel_strides=(2, 2))
LENGTHS = (5, 12, 31)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_the_head_says_what_the_classifier_says(pooling: Pooling, multi_label: bool, tmp_path: Path) -> None:
    model = create_classifier(ENCODER, 3, HeadConfig(dropout=0.5, pooling=pooling), seed=1).eval()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text(json.dumps({"head": {"pooling": pooling}, "multi_label": multi_label}))
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randn(1, length, 16, generator=generator) for length in LENGTHS]
    with torch.inference_mode():
        wanted = torch.cat([model(clip, torch.tensor([clip.shape[1]])) for clip in clips])
        last = [model.encoder(clip, torch.tensor([clip.shape[1]]))[0][0].numpy() for clip in clips]
        features = {f"block_2:{each}": np.stack([pool(frames, each) for frames in last]) for each in POOLINGS}
        found = head_scores(tmp_path, features, last="block_2")
    assert found.shape == (3, 3)
    assert np.ptp(found, axis=0).min() > 1e-3  # the clips differ
    np.testing.assert_allclose(found, class_scores(wanted, multi_label=multi_label), atol=1e-5)
