"""Networks as vectors, their symmetry, and the units in which diffusion sees them."""

from g_pt.parameters.spec import Arrangement, HiddenLayer, Parameters, ParameterSpec

__all__ = ["Arrangement", "HiddenLayer", "ParameterSpec", "Parameters"]
