# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models of transformers convert in one line and are called as ever: arguments by name, a
ModelOutput back, key-value caches given, filled and returned.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import InputMismatchError

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

VOCABULARY = 101


def _gpt2(**options: Any) -> nn.Module:
    config = transformers.GPT2Config(
        n_embd=64, n_head=4, n_layer=2, vocab_size=VOCABULARY, n_positions=64, **options
    )
    return transformers.GPT2LMHeadModel(config).eval()


def _llama() -> nn.Module:
    config = transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
    )
    return transformers.LlamaForCausalLM(config).eval()


def _bert(**options: Any) -> nn.Module:
    config = transformers.BertConfig(
        hidden_size=64,
        num_attention_heads=4,
        num_hidden_layers=2,
        intermediate_size=96,
        vocab_size=VOCABULARY,
        **options,
    )
    return transformers.BertModel(config).eval()


def _ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, shape)


def _called(model: Any, *args: Any, **kwargs: Any) -> Any:
    with torch.no_grad():
        return model(*args, **kwargs)


def _close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def _same_caches(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert ours.get_seq_length() == theirs.get_seq_length()
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        assert type(one) is type(other)
        assert vars(one).keys() == vars(other).keys()
        _close((one.keys, one.values), (other.keys, other.values))


def test_arguments_by_name_and_a_model_output() -> None:
    model, ids = _bert(), _ids(2, 7)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    tess = ts.from_pytorch(
        model, example_kwargs={"input_ids": ids, "attention_mask": mask}, strict=True
    )
    got = tess(attention_mask=mask, input_ids=ids)
    wanted = _called(model, input_ids=ids, attention_mask=mask)
    assert type(got) is type(wanted)
    _close(got.last_hidden_state, wanted.last_hidden_state)
    _close(got.to_tuple(), wanted.to_tuple())
    assert got[0] is got["last_hidden_state"] is got.last_hidden_state
    assert tess.config is model.config
    _close(tess(ids, mask)[1], wanted[1])


def test_a_tuple_where_the_model_gives_one() -> None:
    model, ids = _gpt2(), _ids(2, 7)
    kwargs = {"return_dict": False, "use_cache": False}
    tess = ts.from_pytorch(model, (ids,), example_kwargs=kwargs, strict=True)
    got = tess(ids, **kwargs)
    assert type(got) is tuple
    _close(got, _called(model, ids, **kwargs))


def test_a_loss() -> None:
    model, ids = _gpt2(), _ids(2, 7)
    kwargs = {"input_ids": ids, "labels": ids, "use_cache": False}
    got = ts.from_pytorch(model, example_kwargs=kwargs, strict=True)(**kwargs)
    _close((got.loss, got.logits), _called(model, **kwargs).to_tuple())


@pytest.mark.parametrize("hooked", [False, True])
def test_hidden_states_and_attention_weights(hooked: bool) -> None:
    model = _bert(attn_implementation="eager")
    kwargs = {"input_ids": _ids(2, 7), "output_hidden_states": True, "output_attentions": True}
    wanted = _called(copy.deepcopy(model), **kwargs)
    if hooked:  # transformers leaves its hooks on a model that was called like this
        _called(model, **kwargs)
    got = ts.from_pytorch(model, example_kwargs=kwargs, strict=True)(**kwargs)
    assert list(got.keys()) == list(wanted.keys())
    _close(got.hidden_states, wanted.hidden_states)
    _close(got.attentions, wanted.attentions)


def test_a_cache_is_returned() -> None:
    model, ids = _gpt2(), _ids(2, 7)
    tess = ts.from_pytorch(model, (ids,), strict=True)
    got, wanted = tess(ids), _called(model, ids)
    _close(got.logits, wanted.logits)
    _same_caches(got.past_key_values, wanted.past_key_values)


@pytest.mark.parametrize("make", [_gpt2, _llama])
def test_prefill_and_steps_with_a_growing_cache(make: Any) -> None:
    model, ids = make(), _ids(2, 7)
    tess = ts.compat.wrap(model, allow_fallback=False)
    ours = transformers.DynamicCache(config=model.config)
    theirs = transformers.DynamicCache(config=model.config)
    for tokens in (ids, _ids(2, 1), _ids(2, 1)):
        got = tess(input_ids=tokens, past_key_values=ours)
        wanted = _called(model, input_ids=tokens, past_key_values=theirs)
        assert got.past_key_values is ours
        _close(got.logits, wanted.logits)
        _same_caches(ours, theirs)


@pytest.mark.parametrize("make", [_gpt2, _llama])
def test_steps_with_a_static_cache_run_one_program(make: Any) -> None:
    model = make()
    ours = transformers.StaticCache(config=model.config, max_cache_len=32)
    _called(model, input_ids=_ids(2, 7), past_key_values=ours)
    theirs, step = copy.deepcopy(ours), _ids(2, 1)
    tess = ts.from_pytorch(
        model, example_kwargs={"input_ids": step, "past_key_values": ours}, strict=True
    )
    assert ours.get_seq_length() == 7  # an example is not a call
    for _ in range(3):
        step, keys = _ids(2, 1), ours.layers[0].keys
        got = tess(input_ids=step, past_key_values=ours)
        wanted = _called(model, input_ids=step, past_key_values=theirs)
        assert got.past_key_values is ours
        assert ours.layers[0].keys is keys  # written in place
        _close(got.logits, wanted.logits)
        _same_caches(ours, theirs)
    other = transformers.StaticCache(config=model.config, max_cache_len=16)
    _called(model, input_ids=_ids(2, 7), past_key_values=other)
    with pytest.raises(InputMismatchError, match="past_key_values"):
        tess(input_ids=step, past_key_values=other)


def test_the_recipe_for_export_with_a_static_cache() -> None:
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    model = _llama()
    model.generation_config.cache_implementation = "static"
    recipe = TorchExportableModuleWithStaticCache(model, batch_size=2, max_cache_len=32)
    reference, ids = copy.deepcopy(recipe), _ids(2, 4)

    def step(index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": ids[:, index : index + 1], "cache_position": torch.tensor([index])}

    tess = ts.from_pytorch(recipe, example_kwargs=step(0), strict=True)
    for index in range(4):
        _close(tess(**step(index)), _called(reference, **step(index)))


def test_encoder_and_decoder_with_a_cache() -> None:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    kwargs = {"input_ids": _ids(2, 9), "decoder_input_ids": _ids(2, 3)}
    got = ts.from_pytorch(model, example_kwargs=kwargs, strict=True)(**kwargs)
    wanted = _called(model, **kwargs)
    _close(got.logits, wanted.logits)
    for part in ("self_attention_cache", "cross_attention_cache"):
        _same_caches(getattr(got.past_key_values, part), getattr(wanted.past_key_values, part))
    step = {
        "encoder_outputs": (wanted.encoder_last_hidden_state,),
        "decoder_input_ids": _ids(2, 1),
    }
    ours, theirs = got.past_key_values, wanted.past_key_values
    tess = ts.from_pytorch(model, example_kwargs={**step, "past_key_values": ours}, strict=True)
    got = tess(**step, past_key_values=ours)
    wanted = _called(model, **step, past_key_values=theirs)
    assert got.past_key_values is ours
    _close(got.logits, wanted.logits)


def test_generation_through_torch_compile() -> None:
    model, ids = _llama(), _ids(2, 5)
    options = {"max_new_tokens": 4, "do_sample": False, "cache_implementation": "static"}
    wanted = _called(model.generate, ids, **options)
    model.forward = torch.compile(model.forward, backend="tessera")
    assert torch.equal(_called(model.generate, ids, **options), wanted)


@pytest.mark.parametrize("make", [_bert, _gpt2, _llama])
def test_batch_and_sequence_of_any_size(make: Any) -> None:
    model = make()
    batch, length = torch.export.Dim("batch", max=8), torch.export.Dim("length", max=40)
    sizes = {0: batch, 1: length}
    kwargs = {"input_ids": _ids(2, 16), "attention_mask": torch.ones(2, 16, dtype=torch.long)}
    tess = ts.from_pytorch(
        model,
        example_kwargs=kwargs,
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
        strict=True,
    )
    for shape in [(2, 16), (3, 17), (8, 40), (1, 5)]:
        mask = torch.ones(shape, dtype=torch.long)
        mask[-1, : shape[1] // 2] = 0
        kwargs = {"input_ids": _ids(*shape), "attention_mask": mask}
        got, wanted = tess(**kwargs), _called(model, **kwargs)
        assert type(got) is type(wanted)
        seen = mask.bool()
        _close(got[0][seen], wanted[0][seen])
        if "past_key_values" in wanted:
            assert got.past_key_values.get_seq_length() == shape[1]
    with pytest.raises(InputMismatchError, match="'length', 0…40"):
        tess(input_ids=_ids(2, 41), attention_mask=torch.ones(2, 41, dtype=torch.long))
    with pytest.raises(InputMismatchError, match="'length' is"):
        tess(input_ids=_ids(2, 9), attention_mask=torch.ones(2, 8, dtype=torch.long))


def test_any_size_is_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _gpt2()
    sizes = {0: torch.export.Dim("batch", max=8), 1: torch.export.Dim("length", max=40)}
    tess = ts.from_pytorch(model, (_ids(2, 16),), dynamic_shapes=(sizes,), strict=True)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("captured again")

    monkeypatch.setattr(torch.export, "export", refuse)
    for shape in [(3, 17), (5, 2)]:
        ids = _ids(*shape)
        _close(tess(ids)[0], _called(model, ids)[0])
