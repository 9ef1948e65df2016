"""Convolutions whose values lie in memory frame by frame, which saves training on a CPU a third of their time.

The convolutions of speech models alternate with layer normalisation, which reads all channels of a frame. PyTorch's
convolutions want all frames of a channel instead, so it copies all values between both, forwards and backwards::

    as PyTorch has it     (batch, channels, time)  ──copy──▶  normalised (batch, time, channels)  ──copy──▶  ...
    time first            (batch, time, channels)  ────────▶  normalised (batch, time, channels)  ────────▶  ...

Shapes stay those of PyTorch, ``(batch, channels, time)``; the order in memory alone differs.
"""

import torch
from torch import Tensor, nn


def compute_time_first(convolutions: nn.Module) -> None:
    """Make training compute the ``feature_extractor`` of a model of `transformers` time first, on a CPU.

    Layers without layer normalisation stay as they are. Without gradients, and on a GPU, the values have the same bits
    as before. The names of the weights stay.
    """
    for layer in convolutions.get_submodule("conv_layers").children():
        convolution = layer.get_submodule("conv")
        if isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm) and isinstance(convolution, nn.Conv1d):
            layer.set_submodule("conv", TimeFirstConvolution(convolution))
        layer.get_submodule("activation").register_forward_pre_hook(_contiguous)


class TimeFirstConvolution(nn.Conv1d):
    """A convolution with the weights of another one, which has neither padding nor dilation nor groups."""

    def __init__(self, original: nn.Conv1d) -> None:
        sizes = original.in_channels, original.out_channels, original.kernel_size[0], original.stride[0]
        super().__init__(*sizes, bias=original.bias is not None, device="meta")
        self.weight, self.bias = original.weight, original.bias

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map ``(batch, channels, time)`` to ``(batch, channels, frames)``."""
        if not torch.is_grad_enabled() or input.device.type != "cpu":
            as_pytorch: Tensor = super()._conv_forward(input, weight, bias)
            return as_pytorch
        if self.in_channels == 1:  # (N, T) -> (N, frames, kernel); PyTorch cannot tell the orders of one channel apart
            windows = input[:, 0].unfold(1, self.kernel_size[0], self.stride[0])
            return nn.functional.linear(windows, weight[:, 0], bias).transpose(1, 2)
        values = input.transpose(1, 2).contiguous().transpose(1, 2)
        image = nn.functional.conv2d(values[:, :, None], weight[:, :, None], bias, stride=(1, self.stride[0]))
        return image[:, :, 0]  # (N, C, 1, T) -> (N, C, T)


def _contiguous(activation: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Copy values that training left transposed on a GPU, where the gradient of GELU is slow otherwise."""
    (values,) = inputs
    return (values.contiguous() if values.requires_grad and values.is_cuda else values,)
