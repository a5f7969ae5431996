# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of torch.nn.functional that PyTorch's own code takes apart; see _composite.py."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from torch.nn import functional

from tessera.nn._composite import composite


def _function(name: str) -> Callable[..., Any]:
    original = getattr(functional, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return composite(name, original, *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"torch.nn.functional.{name}, with its arguments."
    with contextlib.suppress(ValueError):  # a function of C++ has none
        call.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return call


# --- losses ----------------------------------------------------------------------------------

binary_cross_entropy = _function("binary_cross_entropy")
binary_cross_entropy_with_logits = _function("binary_cross_entropy_with_logits")
cosine_embedding_loss = _function("cosine_embedding_loss")
cross_entropy = _function("cross_entropy")
ctc_loss = _function("ctc_loss")
gaussian_nll_loss = _function("gaussian_nll_loss")
hinge_embedding_loss = _function("hinge_embedding_loss")
huber_loss = _function("huber_loss")
kl_div = _function("kl_div")
l1_loss = _function("l1_loss")
margin_ranking_loss = _function("margin_ranking_loss")
mse_loss = _function("mse_loss")
multi_margin_loss = _function("multi_margin_loss")
multilabel_margin_loss = _function("multilabel_margin_loss")
multilabel_soft_margin_loss = _function("multilabel_soft_margin_loss")
nll_loss = _function("nll_loss")
poisson_nll_loss = _function("poisson_nll_loss")
smooth_l1_loss = _function("smooth_l1_loss")
soft_margin_loss = _function("soft_margin_loss")
triplet_margin_loss = _function("triplet_margin_loss")
triplet_margin_with_distance_loss = _function("triplet_margin_with_distance_loss")

# --- distances -------------------------------------------------------------------------------

cosine_similarity = _function("cosine_similarity")
pairwise_distance = _function("pairwise_distance")
pdist = _function("pdist")

# --- pooling ---------------------------------------------------------------------------------

adaptive_avg_pool1d = _function("adaptive_avg_pool1d")
adaptive_avg_pool2d = _function("adaptive_avg_pool2d")
adaptive_avg_pool3d = _function("adaptive_avg_pool3d")
adaptive_max_pool1d = _function("adaptive_max_pool1d")
adaptive_max_pool2d = _function("adaptive_max_pool2d")
adaptive_max_pool3d = _function("adaptive_max_pool3d")
avg_pool1d = _function("avg_pool1d")
avg_pool2d = _function("avg_pool2d")
avg_pool3d = _function("avg_pool3d")
lp_pool1d = _function("lp_pool1d")
lp_pool2d = _function("lp_pool2d")
lp_pool3d = _function("lp_pool3d")
max_pool1d = _function("max_pool1d")
max_pool2d = _function("max_pool2d")
max_pool3d = _function("max_pool3d")
max_unpool1d = _function("max_unpool1d")
max_unpool2d = _function("max_unpool2d")
max_unpool3d = _function("max_unpool3d")

# --- images ----------------------------------------------------------------------------------

affine_grid = _function("affine_grid")
channel_shuffle = _function("channel_shuffle")
fold = _function("fold")
grid_sample = _function("grid_sample")
interpolate = _function("interpolate")
pixel_shuffle = _function("pixel_shuffle")
pixel_unshuffle = _function("pixel_unshuffle")
unfold = _function("unfold")

# --- the rest --------------------------------------------------------------------------------

alpha_dropout = _function("alpha_dropout")
bilinear = _function("bilinear")
dropout1d = _function("dropout1d")
dropout2d = _function("dropout2d")
dropout3d = _function("dropout3d")
embedding_bag = _function("embedding_bag")
feature_alpha_dropout = _function("feature_alpha_dropout")
gumbel_softmax = _function("gumbel_softmax")
hardshrink = _function("hardshrink")
local_response_norm = _function("local_response_norm")
rrelu = _function("rrelu")
softmin = _function("softmin")
softshrink = _function("softshrink")
tanhshrink = _function("tanhshrink")
