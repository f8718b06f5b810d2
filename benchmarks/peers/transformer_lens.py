"""TransformerLens: ``run_with_hooks`` on ``hook_z``, as in its main demonstration, the weights as they are."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedTransformer
from transformer_lens.config.hooked_transformer_config import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions.llama import convert_llama_weights

from benchmarks.peers import Losses, metric, shape
from reportgen.scoring.data.batches import Batch


def losses(model: Any, batch: Batch, matched: bool) -> Losses:
    """A loop over all heads; matched: it stops before the vocabulary, and unembeds the answer's positions."""
    lens, (layers, heads, _) = _lens(model), shape(model)

    def zero(z: Tensor, hook: Any, head: int) -> Tensor:
        z[:, :, head] = 0
        return z

    def without(layer: int, head: int) -> Tensor:
        hooks = [(f"blocks.{layer}.attn.hook_z", partial(zero, head=head))]
        if not matched:
            return metric(lens.run_with_hooks(batch.input_ids, fwd_hooks=hooks), batch)
        residual = lens.run_with_hooks(batch.input_ids, fwd_hooks=hooks, stop_at_layer=layers)
        at = residual[batch.owner, batch.position][:, None]
        return metric(lens.unembed(lens.ln_final(at))[:, 0], batch)

    @torch.no_grad()
    def run() -> Tensor:
        return torch.stack([torch.stack([without(i, h) for h in range(heads)]) for i in range(layers)])

    return run


def _lens(model: Any) -> HookedTransformer:
    config, (layers, heads, size) = model.config, shape(model)
    settings = HookedTransformerConfig(
        d_head=size,
        n_ctx=config.max_position_embeddings,
        d_vocab=config.vocab_size,
        device="cpu",
        dtype=torch.float32,
        d_model=config.hidden_size,
        n_layers=layers,
        n_heads=heads,
        n_key_value_heads=config.num_key_value_heads,
        d_mlp=config.intermediate_size,
        act_fn="silu",
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        positional_embedding_type="rotary",
        rotary_adjacent_pairs=False,
        rotary_base=10000,
        rotary_dim=size,
        eps=config.rms_norm_eps,
    )
    lens = HookedTransformer(settings)
    lens.load_and_process_state_dict(
        convert_llama_weights(model, settings),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return lens.eval().requires_grad_(False)
