# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m benchmarks.breadth`: every architecture of transformers, small, converted strictly.

Each configuration is shrunk by the names of its sizes, and the model called with what its main
input asks for; architectures that do not run so in PyTorch are left out and counted. A result is
held against float64, or against PyTorch where the model does not run in float64. Fails on a wrong
value.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

from benchmarks.accuracy import tensors_of

#: How far from float64 results may be, over how far PyTorch's are, beyond the last place.
LARGEST_RATIO = 3.0
LAST_PLACE = 1e-6
#: Without float64, from PyTorch's.
CLOSE = 1e-4
LARGEST_MODEL = 40_000_000

#: What sizes of a model are called, and what they become.
SIZES = {
    2: "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers "
    "num_encoder_layers num_decoder_layers num_key_value_heads num_experts_per_tok type_vocab_size",
    4: "num_attention_heads n_head n_heads num_heads encoder_attention_heads "
    "decoder_attention_heads num_local_experts num_experts n_routed_experts",
    8: "head_dim d_kv patch_size qk_rope_head_dim qk_nope_head_dim v_head_dim",
    16: "num_mel_bins q_lora_rank kv_lora_rank",
    32: "hidden_size d_model n_embd dim image_size moe_intermediate_size embedding_size "
    "max_source_positions projection_dim",
    64: "intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff n_positions hidden_dim "
    "max_position_embeddings n_inner",
    99: "vocab_size",
    1: "n_group topk_group bos_token_id decoder_start_token_id",
    0: "pad_token_id",
}


def _shrink(config: Any) -> None:
    """Makes the model of a configuration small, and those of the configurations inside."""
    from transformers import PretrainedConfig

    for size, names in SIZES.items():
        for name in names.split():
            given = getattr(config, name, None)
            if (isinstance(given, int) and not isinstance(given, bool)) or (
                name.endswith("token_id") and hasattr(config, name)
            ):
                setattr(config, name, size)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:2]
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for part in vars(config).values():
        if isinstance(part, PretrainedConfig):
            _shrink(part)


def _arguments(model: Any) -> dict[str, Tensor]:
    config = model.config
    if model.main_input_name == "pixel_values":
        size = getattr(config, "image_size", 32)
        side = max(size if isinstance(size, int) else size[0], 32)
        return {"pixel_values": torch.rand(2, getattr(config, "num_channels", 3), side, side)}
    if model.main_input_name == "input_features":
        return {"input_features": torch.rand(2, getattr(config, "num_mel_bins", 16), 64)}
    if model.main_input_name == "input_values":
        return {"input_values": torch.rand(2, 2000)}
    arguments = {"input_ids": torch.randint(3, 90, (2, 8))}
    if config.is_encoder_decoder:
        arguments["decoder_input_ids"] = torch.randint(3, 90, (2, 6))
    return arguments


def _built(name: str) -> tuple[nn.Module, dict[str, Tensor], Any] | None:
    """A small model with arguments and what PyTorch gives for them; None where it gives nothing."""
    import transformers

    torch.manual_seed(0)
    try:
        config = transformers.CONFIG_MAPPING[name]()
        if type(config) not in transformers.MODEL_MAPPING:
            return None
        _shrink(config)
        with torch.device("meta"):
            count = sum(x.numel() for x in transformers.AutoModel.from_config(config).parameters())
        if count > LARGEST_MODEL:
            return None
        model = transformers.AutoModel.from_config(config).float().eval()
        arguments = _arguments(model)
        with torch.no_grad():
            wanted = model(**copy.deepcopy(arguments))
            again = model(**copy.deepcopy(arguments))
    except Exception:  # a size by another name, an input of its own, a library that is not there
        return None
    pairs = list(zip(tensors_of(wanted), tensors_of(again), strict=True))
    if not pairs or not all(torch.equal(*pair) and pair[0].isfinite().all() for pair in pairs):
        return None
    return model, arguments, wanted


def _wrong(model: nn.Module, arguments: dict[str, Tensor], result: Any, eager: Any) -> str:
    """What is wrong with a result; empty where nothing is."""
    ours, theirs = tensors_of(result), tensors_of(eager)
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return (
            f"shapes {[tuple(x.shape) for x in ours]}, PyTorch {[tuple(x.shape) for x in theirs]}"
        )
    try:
        wide = {key: x.double() if x.is_floating_point() else x for key, x in arguments.items()}
        with torch.no_grad():
            exact = tensors_of(copy.deepcopy(model).double()(**wide))
    except RuntimeError:
        exact = theirs
    if not all(bool(x.isfinite().all()) for x in exact):
        exact = theirs
    for x, y, z in zip(ours, theirs, exact, strict=True):
        largest = max(1.0, float(z.abs().max()))
        error, own = float((x - z).abs().max()), float((y - z).abs().max())
        allowed = LARGEST_RATIO * own + (CLOSE if z is y else LAST_PLACE) * largest
        if not error <= allowed:
            return f"off by {error:.2g}, allowed {allowed:.2g} (PyTorch itself: {own:.2g})"
    return ""


def sweep(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Of each architecture its name, what became of it, and why."""
    import tessera as ts

    for name in track(names, "architectures"):
        built = _built(name)
        if built is None:
            yield name, "left out", ""
            continue
        model, arguments, eager = built
        try:
            converted = ts.from_pytorch(model, example_kwargs=arguments, strict=True)
            wrong = _wrong(model, arguments, converted(**copy.deepcopy(arguments)), eager)
        except ts.TesseraError as error:
            yield name, "refused", str(error)
            continue
        yield name, "wrong" if wrong else "converted", wrong


def main() -> None:
    import transformers

    parser = argparse.ArgumentParser(prog="python -m benchmarks.breadth", description=__doc__)
    parser.add_argument(
        "--only", default="", help="architectures whose name contains this, by comma"
    )
    parser.add_argument("--json", type=Path, help="where to write what became of each")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    names = [
        name
        for name in sorted(transformers.CONFIG_MAPPING)
        if not wanted or any(part in name for part in wanted)
    ]
    found = []
    for name, outcome, why in sweep(names):
        found.append({"name": name, "outcome": outcome, "why": why})
        if outcome in ("refused", "wrong"):
            print(f"{name:28}{outcome}: {' '.join(why.split())[:300]}", flush=True)
    counts = Counter(str(item["outcome"]) for item in found)
    tried = len(found) - counts["left out"]
    print(f"{counts['converted']} of {tried} convert, {counts['wrong']} are wrong")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if counts["wrong"]:
        sys.exit("wrong values")


if __name__ == "__main__":
    main()
