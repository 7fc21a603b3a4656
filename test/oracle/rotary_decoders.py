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
