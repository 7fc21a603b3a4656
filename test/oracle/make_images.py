"""Makes small image files of every kind, each with what the processors of PaliGemma and of Gemma 3 make of it.

    python make_images.py

Writes `packages/vision/testdata/`: the files, and `golden.safetensors` with one entry per file:

    <file>          uint8 as int32 [size, size, 3]   what SiglipImageProcessor (its Pillow backend, the default without
                                                     torchvision) makes of it before it rescales; sizes differ by file

and `golden_bilinear.safetensors` with the same of Gemma3ImageProcessor, which resizes by bilinear interpolation,
of some of them.

A file is opened as Transformers' `load_image` does: turned upright by its EXIF data, then `convert("RGB")`.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import made_with, quiet_transformers, write_golden  # noqa: E402

quiet_transformers()
from PIL import Image  # noqa: E402
from transformers.image_utils import load_image  # noqa: E402
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil  # noqa: E402
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "vision" / "testdata"
VERSIONS = made_with("transformers", "pillow", "numpy")


def scene(width: int, height: int, channels: int = 3) -> np.ndarray:
    """An image with edges, waves and flat parts, in which nothing is symmetric."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / 7 + y / 11 + channel) * np.cos(y / (9 + channel)) for channel in range(channels)]
    image = np.stack(waves, -1)
    image[height // 5:height // 2, width // 7:width // 3] = [250, 20, 60, 128][:channels]
    image[height // 3:, 2 * width // 3:2 * width // 3 + 2] = [5, 240, 200, 255][:channels]
    return image.clip(0, 255).astype(np.uint8)


def turned(orientation: int) -> Image.Exif:
    """EXIF data that asks for an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def make_files() -> dict[str, int]:
    """Writes the files; gives the size that each is resized to."""
    sizes: dict[str, int] = {}

    def save(name: str, size: int, array: np.ndarray, mode: str | None = None, **options) -> None:
        image = Image.fromarray(array)
        (image if mode is None else image.convert(mode)).save(FOLDER / name, **options)
        sizes[name] = size

    save("down.png", 28, scene(150, 150))
    save("up.png", 56, scene(20, 20))
    save("same.png", 32, scene(32, 32))
    save("one_pixel.png", 14, scene(1, 1))
    save("wide.png", 42, scene(201, 23))
    save("tall.png", 42, scene(17, 190))
    save("wide_up_tall_down.png", 48, scene(31, 97))
    save("grey.png", 28, scene(61, 47, 1)[:, :, 0])
    save("grey_alpha.png", 28, scene(40, 40, 4), "LA")
    save("alpha.png", 28, scene(60, 50, 4))
    save("palette.png", 28, scene(60, 50), "P")
    save("black_white.png", 28, scene(60, 50), "1")
    y, x = np.mgrid[0:30, 0:40]
    save("grey16.png", 28, (x * 7 + y * 5).astype(np.uint16))
    save("turned6.png", 28, scene(60, 40), exif=turned(6))
    save("colour.jpg", 28, scene(80, 70), quality=90, subsampling=0)
    save("chroma_halved.jpg", 28, scene(81, 71), quality=75, subsampling=2)
    save("progressive.jpg", 28, scene(80, 70), quality=85, progressive=True)
    save("grey.jpg", 28, scene(50, 64, 1)[:, :, 0], quality=85)
    for orientation in range(2, 9):
        save(f"turned{orientation}.jpg", 28, scene(64, 40), quality=85, exif=turned(orientation))
    save("lossy.webp", 28, scene(80, 70), quality=80)
    save("lossless.webp", 28, scene(60, 50), lossless=True)
    save("alpha.webp", 28, scene(60, 50, 4), lossless=True, exact=True)
    save("alpha_lossy.webp", 28, scene(60, 50, 4), quality=80, exact=True)
    save("turned8.webp", 28, scene(60, 40), lossless=True, exif=turned(8))
    # What must be refused.
    Image.fromarray(scene(40, 30)).convert("CMYK").save(FOLDER / "cmyk.jpg")
    Image.fromarray(scene(40, 30)).save(FOLDER / "image.gif")
    frames = [Image.fromarray(scene(20, 20)), Image.fromarray(255 - scene(20, 20))]
    frames[0].save(FOLDER / "animated.webp", save_all=True, append_images=frames[1:], duration=100)
    return sizes


def processed(path: Path, size: int, kind: type = SiglipImageProcessorPil) -> np.ndarray:
    """What a processor makes of a file, as bytes: its values are (byte / 255 - 0.5) / 0.5."""
    processor = kind(size={"height": size, "width": size})
    image = load_image(str(path)).convert("RGB")
    values = np.asarray(processor(images=image, return_tensors="np")["pixel_values"]).reshape(3, size, size)
    exact = (values.transpose(1, 2, 0) * 0.5 + 0.5) * 255
    assert np.abs(exact - exact.round()).max() < 1e-3
    return exact.round().astype(np.int32)


def write_goldens(sizes: dict[str, int]) -> None:
    """Writes what both processors make of the files; of the second, those that differ in size alone are enough."""
    write_golden(FOLDER / "golden.safetensors", {file: processed(FOLDER / file, size) for file, size in sizes.items()},
                 VERSIONS)
    of_sizes = ("down.png", "up.png", "same.png", "one_pixel.png", "wide.png", "tall.png", "wide_up_tall_down.png")
    bilinear = {file: processed(FOLDER / file, sizes[file], Gemma3ImageProcessorPil) for file in of_sizes}
    write_golden(FOLDER / "golden_bilinear.safetensors", bilinear, VERSIONS)


if __name__ == "__main__":
    for path in FOLDER.glob("*.*"):
        path.unlink()
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_goldens(make_files())
    print(f"{sum(path.stat().st_size for path in FOLDER.iterdir())} bytes")
