"""Scores of small models by TransformerLens, which tests/scoring/test_transformer_lens.py compares with reportgen's.

Run in an environment of its own, from the project's root; it writes tests/scoring/transformer_lens.npz:

    python3 -m venv lens && lens/bin/pip install -r benchmarks/transformer_lens/requirements.txt
    lens/bin/python benchmarks/transformer_lens/reference.py
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformer_lens import HookedTransformer
from transformer_lens.config.hooked_transformer_config import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions.gpt2 import convert_gpt2_weights
from transformer_lens.pretrained.weight_conversions.llama import convert_llama_weights
from transformer_lens.pretrained.weight_conversions.neox import convert_neox_weights

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scoring"))

from lens_models import TEXTS, built  # noqa: E402

CONVERT = {"gpt2": convert_gpt2_weights, "llama": convert_llama_weights, "gpt_neox": convert_neox_weights}


def lens(name: str) -> tuple[Any, HookedTransformer]:
    """The model in transformers, and in TransformerLens with its weights as they are."""
    model = built(name)
    config, own = model.config, dict[str, Any]()
    if name == "gpt2":
        own = {
            "d_mlp": 4 * config.n_embd,
            "act_fn": "gelu_new",
            "normalization_type": "LN",
            "eps": 1e-5,
            "d_model": config.n_embd,
            "n_layers": config.n_layer,
            "n_heads": config.n_head,
        }
    else:
        own = {
            "d_mlp": config.intermediate_size,
            "d_model": config.hidden_size,
            "n_layers": config.num_hidden_layers,
            "n_heads": config.num_attention_heads,
            "positional_embedding_type": "rotary",
            "rotary_adjacent_pairs": False,
            "rotary_base": 10000,
        }
        size = config.hidden_size // config.num_attention_heads
        if name == "llama":
            own |= {
                "act_fn": "silu",
                "normalization_type": "RMS",
                "final_rms": True,
                "gated_mlp": True,
                "n_key_value_heads": config.num_key_value_heads,
                "rotary_dim": size,
                "eps": config.rms_norm_eps,
            }
        else:
            own |= {
                "act_fn": "gelu",
                "normalization_type": "LN",
                "parallel_attn_mlp": True,
                "rotary_dim": size // 4,
                "eps": config.layer_norm_eps,
            }
    settings = HookedTransformerConfig(
        d_head=own["d_model"] // own["n_heads"],
        n_ctx=16,
        d_vocab=config.vocab_size,
        device="cpu",
        use_attn_result=True,
        dtype=torch.float32,
        **own,
    )
    hooked = HookedTransformer(settings)
    hooked.load_and_process_state_dict(
        CONVERT[name](model, settings),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return model, hooked.eval()


def main() -> None:
    """Write the reference."""
    found: dict[str, Any] = {"version": np.array(version("transformer-lens"))}
    for name in CONVERT:
        model, hooked = lens(name)
        parts = [scores(model, hooked, *text) for text in TEXTS]
        for quantity in parts[0]:
            found[f"{name}/{quantity}"] = np.stack([part[quantity] for part in parts])
            print(name, quantity, found[f"{name}/{quantity}"].shape, np.abs(found[f"{name}/{quantity}"]).max())
    np.savez_compressed(ROOT / "tests" / "scoring" / "transformer_lens.npz", **found)


def log_odds(logits: torch.Tensor, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Summed over the answer's tokens."""
    p = logits[0, len(prompt) - 1 : len(prompt) - 1 + len(answer)].softmax(-1)[range(len(answer)), answer]
    return (p.log() - (1 - p).log()).sum()


def scores(
    model: Any, hooked: HookedTransformer, prompt: list[int], answer: list[int], corrupted: list[int]
) -> dict[str, np.ndarray]:
    """Every quantity of one text, (layer, head) each."""
    layers, heads = hooked.cfg.n_layers, hooked.cfg.n_heads
    tokens, other = torch.tensor([prompt + answer[:-1]]), torch.tensor([corrupted + answer[:-1]])
    same = torch.equal(hooked(tokens).argmax(-1), model(tokens).logits.argmax(-1))
    assert same, "TransformerLens holds the same model"
    torch.testing.assert_close(hooked(tokens).log_softmax(-1), model(tokens).logits.log_softmax(-1), atol=1e-4, rtol=0)

    def metric(text: torch.Tensor, hooks: list[Any]) -> torch.Tensor:
        return log_odds(hooked.run_with_hooks(text, fwd_hooks=hooks), prompt, answer)

    def each(text: torch.Tensor, change: Callable[[torch.Tensor, int, int], None]) -> np.ndarray:
        """The metric with a head's z changed in place."""
        result = np.zeros((layers, heads))
        for layer in range(layers):
            for head in range(heads):

                def edit(z: torch.Tensor, hook: Any, layer: int = layer, head: int = head) -> torch.Tensor:
                    changed = z.clone()
                    change(changed, layer, head)
                    return changed

                result[layer, head] = metric(text, [(f"blocks.{layer}.attn.hook_z", edit)]).item()
        return result

    with torch.no_grad():
        clean, changed = metric(tokens, []).item(), metric(other, []).item()
        _, own = hooked.run_with_cache(tokens)
        _, theirs = hooked.run_with_cache(other)

        def zero(z: torch.Tensor, layer: int, head: int) -> None:
            z[:, :, head] = 0

        def put(cache: Any) -> Callable[[torch.Tensor, int, int], None]:
            def change(z: torch.Tensor, layer: int, head: int) -> None:
                z[:, :, head] = cache["z", layer][:, :, head]

            return change

        patterns = torch.stack([own["pattern", layer][0] for layer in range(layers)])
        before = patterns.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)
        found = {
            "zero_ablation": clean - each(tokens, zero),
            "noising": clean - each(tokens, put(theirs)),
            "denoising": each(other, put(own)) - changed,
            "previous_token": before.numpy(),
            "direct_logit_attribution": direct(hooked, own, prompt, answer),
        }
    return {**found, **gradients(hooked, tokens, prompt, answer, theirs)}


def gradients(
    hooked: HookedTransformer, tokens: torch.Tensor, prompt: list[int], answer: list[int], theirs: Any
) -> dict[str, np.ndarray]:
    """z · ∂metric / ∂z, and the same with the difference to the corrupted prompt's z."""
    seen: dict[int, torch.Tensor] = {}

    def keep(z: torch.Tensor, hook: Any) -> torch.Tensor:
        seen[hook.layer()] = z.requires_grad_()
        return z

    logits = hooked.run_with_hooks(tokens, fwd_hooks=[(lambda name: name.endswith("hook_z"), keep)])
    zs = [seen[layer] for layer in range(len(seen))]
    slopes = torch.autograd.grad(log_odds(logits, prompt, answer), zs)

    def summed(change: list[torch.Tensor]) -> np.ndarray:
        return np.stack([(c * g).sum((0, 1, 3)).detach().numpy() for c, g in zip(change, slopes, strict=True)])

    return {
        "gate_gradient": summed(zs),
        "attribution_patching": summed([z - theirs["z", layer] for layer, z in enumerate(zs)]),
    }


def direct(hooked: HookedTransformer, cache: Any, prompt: list[int], answer: list[int]) -> np.ndarray:
    """What each head's result adds to the answer's logit less the mean logit, by TransformerLens' frozen norm."""
    total = np.zeros((hooked.cfg.n_layers, hooked.cfg.n_heads))
    for step, token in enumerate(answer):
        place = len(prompt) - 1 + step
        parts = cache.stack_head_results(layer=-1, pos_slice=place)[:, 0]
        normed = cache.apply_ln_to_stack(parts[:, None], layer=-1, pos_slice=place)[:, 0]
        direction = hooked.W_U[:, token] - hooked.W_U.mean(dim=1)
        scale = hooked.ln_final.w if hasattr(hooked.ln_final, "w") else 1.0
        total += ((normed * scale) @ direction).view(total.shape).numpy()
    return total


if __name__ == "__main__":
    main()
