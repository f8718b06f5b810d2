"""Published models by their numbers of layers and heads, for a hint where a file does not say its key/value heads."""

# (layers, heads) → (model, key/value heads), as their authors give them; written down by hand, with no file here to
# check them by. Models of one shape need not share one number, so a hint is never taken for an answer.
SHAPES: dict[tuple[int, int], tuple[tuple[str, int], ...]] = {
    (12, 12): (("GPT-2", 12), ("Pythia-160M", 12)),
    (16, 32): (("Llama-3.2-1B", 8),),
    (18, 8): (("Gemma-2B", 1),),
    (22, 32): (("TinyLlama-1.1B", 4),),
    (24, 14): (("Qwen2.5-0.5B", 2),),
    (24, 32): (("SmolLM2-1.7B", 32),),
    (26, 8): (("Gemma-2-2B", 4),),
    (28, 12): (("Qwen2.5-1.5B", 2),),
    (28, 16): (("Qwen3-0.6B", 8), ("Gemma-7B", 16)),
    (28, 24): (("Llama-3.2-3B", 8),),
    (28, 28): (("Qwen2.5-7B", 4),),
    (30, 9): (("SmolLM-135M", 3),),
    (32, 15): (("SmolLM-360M", 5),),
    (32, 32): (("Llama-2-7B", 32), ("Mistral-7B", 8), ("Llama-3-8B", 8), ("Yi-6B", 4)),
    (36, 16): (("Qwen2.5-3B", 2),),
    (36, 32): (("Qwen3-8B", 8),),
    (40, 40): (("Llama-2-13B", 40), ("Qwen1.5-14B", 40)),
    (42, 16): (("Gemma-2-9B", 8),),
    (46, 32): (("Gemma-2-27B", 16),),
    (48, 40): (("Qwen2.5-14B", 8),),
    (60, 56): (("Yi-34B", 8),),
    (64, 40): (("Qwen2.5-32B", 8),),
    (80, 64): (("Llama-2-70B", 8), ("Llama-3-70B", 8), ("Qwen2.5-72B", 8)),
}


def models_of(layers: int, heads: int) -> list[tuple[str, int]]:
    """Return the published models of that shape with their numbers of key/value heads; none where none is known."""
    return [*SHAPES.get((layers, heads), ())]
