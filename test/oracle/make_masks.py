"""Makes a small mask decoder with random weights, and what PyTorch computes with it.

    python make_masks.py

Writes `packages/vision/testdata/masks/`: `decoder.npz`, with the names and the architecture of the published `vae-oid.npz`
but fewer channels, and `golden.json`: the codes, and the mask in 1/1000 that follows from them.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "vision" / "testdata" / "masks"
WIDTH, CODE, SIZE = 16, 8, 128


class ResBlock(nn.Module):
    """Two 3 × 3 convolutions and one 1 × 1, beside the input."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
                                 nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.net(x)


def up(a: int, b: int) -> nn.Module:
    """A layer that doubles the side."""
    return nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)


if __name__ == "__main__":
    torch.manual_seed(0)
    half = WIDTH // 2
    decoder = nn.Sequential(
        nn.Conv2d(CODE, WIDTH, 1), nn.ReLU(), ResBlock(WIDTH), ResBlock(WIDTH), up(WIDTH, WIDTH), nn.ReLU(),
        up(WIDTH, half), nn.ReLU(), up(half, half // 2), nn.ReLU(), up(half // 2, half // 4), nn.ReLU(),
        nn.Conv2d(half // 4, 1, 1),
    )
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(2.2)
    codebook = torch.randn(SIZE, CODE)
    codes = np.random.default_rng(0).integers(0, SIZE, 16)
    vectors = codebook[torch.from_numpy(codes)].T.reshape(1, CODE, 4, 4)
    with torch.no_grad():
        # About half of the mask covered, with values between the ends.
        spread = decoder(vectors)
        decoder[-1].bias.copy_((decoder[-1].bias - spread.mean()) / spread.std())
        decoder[-1].weight.div_(spread.std())
    arrays = {f"decoder.{name}": value.numpy() for name, value in decoder.state_dict().items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(FOLDER / "decoder.npz", **arrays, **{"_vq_vae._embedding": codebook.numpy()})
    with torch.no_grad():
        mask = (decoder(vectors)[0, 0] / 2 + 0.5).clip(0, 1).numpy()
    share = float((mask > 0.5).mean())
    assert 0.05 < share < 0.95 and 0.05 < float(((mask > 0) & (mask < 1)).mean()), share
    golden = {"made_with": {"torch": torch.__version__, "numpy": np.__version__}, "codes": codes.tolist(),
              "mask": (mask * 1000).round().astype(int).flatten().tolist()}
    (FOLDER / "golden.json").write_text(json.dumps(golden) + "\n")
    print(f"{share:.0%} of the mask is covered")
