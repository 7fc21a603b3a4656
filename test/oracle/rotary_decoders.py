"""What the scripts of decoders like Llama share: both spellings of rotary embeddings, weights drawn large, and parts that must matter."""

import torch


def scaled(kind: str, theta: float = 500.0, **parameters: object) -> dict:
    """Another stretched rotary embedding in the spelling of Transformers 5."""
    return {"rope_type": kind, "rope_theta": theta} | parameters


def old(parameters: dict, dtype: str) -> dict:
    """Rotary embedding's fields and the dtype in the spelling of Transformers 4."""
    scaling = {name: value for name, value in parameters.items() if name != "rope_theta"}
    return dict(rope_theta=parameters["rope_theta"], torch_dtype=dtype,
                rope_scaling=None if scaling["rope_type"] == "default" else scaling)


def drawn_large(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The model with weights large enough that its epsilon and its rotary embedding show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.9 + 0.3 * values if "norm" in name else values * (0.15 if "embed" in name else 0.25))
    return model


def assert_parts_matter(name: str, model: torch.nn.Module, ids: torch.Tensor) -> None:
    """Fails unless every bias, and every normalization inside attention, moves the logits when it does nothing."""
    with torch.no_grad():
        before = model(input_ids=ids).logits
        for part, idle in {"q_proj.bias": 0, "k_proj.bias": 0, "v_proj.bias": 0, "o_proj.bias": 0, "q_norm": 1, "k_norm": 1}.items():
            held = {key: value for key, value in model.named_parameters() if part in key}
            values = {key: value.clone() for key, value in held.items()}
            for value in held.values():
                value.fill_(idle)
            moved = float((model(input_ids=ids).logits - before).abs().max())
            assert not held or moved > 1e-3, f"{name}: {part} moves the logits by {moved} only"
            for key, value in held.items():
                value.copy_(values[key])
