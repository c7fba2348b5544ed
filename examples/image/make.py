"""Draw an image and write the jobs that turn, crop, grey and blur it.

With --check: read what `ipvm-submit --json` printed, write each resulting image beside this file, and compare
it sample by sample with the same picture computed here in plain Python.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GUEST = "file:../guests/image.wasm"
LOADER = "file:../guests/load.wasm"
SIDE = 692  # 692 * 692 * 3 bytes are 1.4 MB
CROP = {"x": 90, "y": 60, "width": 512, "height": 480}


@dataclass(frozen=True)
class Picture:
    """Samples row by row; 3 channels are a colour image, 1 is a grey one."""

    width: int
    height: int
    channels: int
    samples: bytes

    def encode(self) -> bytes:
        """Return the binary PPM or PGM file."""
        return b"P%d\n%d %d\n255\n" % (5 if self.channels == 1 else 6, self.width, self.height) + self.samples

    def row(self, y: int) -> bytes:
        """Return the samples of one row."""
        length = self.width * self.channels
        return self.samples[y * length : (y + 1) * length]


def draw() -> Picture:
    """Return the input: rings over two ramps of colour, in integers only so that it is the same everywhere."""
    samples = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            ring = ((x - 400) * (x - 400) + (y - 260) * (y - 260)) // 97 % 256
            samples += bytes((x * 255 // SIDE, ring, y * 255 // SIDE))
    return Picture(SIDE, SIDE, 3, bytes(samples))


def rotate(image: Picture) -> Picture:
    """Return the image after a quarter turn clockwise."""
    step = image.channels
    pixels = [[row[i : i + step] for i in range(0, len(row), step)] for row in map(image.row, range(image.height))]
    turned = b"".join(b"".join(column) for column in zip(*reversed(pixels), strict=True))
    return Picture(image.height, image.width, step, turned)


def crop(image: Picture) -> Picture:
    """Return the part of the image that CROP names."""
    first, last = CROP["x"] * image.channels, (CROP["x"] + CROP["width"]) * image.channels
    rows = (image.row(y)[first:last] for y in range(CROP["y"], CROP["y"] + CROP["height"]))
    return Picture(CROP["width"], CROP["height"], image.channels, b"".join(rows))


def grayscale(image: Picture) -> Picture:
    """Return the luma of a colour image, in 16-bit fixed point."""
    channels = (image.samples[channel::3] for channel in range(3))
    luma = bytes((19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in zip(*channels, strict=True))
    return Picture(image.width, image.height, 1, luma)


def blur(image: Picture) -> Picture:
    """Return the image under a 3x3 binomial kernel; the outermost pixels stay as they are."""
    step = image.channels
    rows = [image.row(0)]
    for y in range(1, image.height - 1):
        here = image.row(y)
        three = zip(image.row(y - 1), here, image.row(y + 1), strict=True)
        columns = [above + 2 * middle + below for above, middle, below in three]
        inner = zip(columns, columns[step:], columns[2 * step :], strict=False)
        rows.append(here[:step] + bytes((a + 2 * b + c + 8) >> 4 for a, b, c in inner) + here[-step:])
    rows.append(image.row(image.height - 1))
    return Picture(image.width, image.height, step, b"".join(rows))


def make_job(image: dict[str, Any]) -> dict[str, Any]:
    """Return the document: `turned` takes the image, `cropped` what is turned, and so on."""

    def job(function: str, value: dict[str, Any], *more: dict[str, int]) -> dict[str, Any]:
        return {"type": "wasm/1.0", "with": GUEST, "func": function, "input": [{"image": value}, *more]}

    return {
        "header": {"v": "0.1.0", "defaults": {"gas": 20_000_000, "memory": [16, "mebi", "bytes"]}},
        "jobs": {
            "turned": job("rotate", image),
            "cropped": job("crop", {"from": "turned"}, *({name: value} for name, value in CROP.items())),
            "grey": job("grayscale", {"from": "cropped"}),
            "soft": job("blur", {"from": "grey"}),
            "soft-colour": job("blur", {"from": "turned"}),
        },
    }


def by_value(file: bytes) -> dict[str, Any]:
    """Return the document with the image in it."""
    return make_job({"/": {"bytes": base64.b64encode(file).decode().rstrip("=")}})


def by_link(file: bytes) -> dict[str, Any]:
    """Return the document with the image's CID in it: one job more reads the block."""
    binary = b"\x01\x55\x12\x20" + hashlib.sha256(file).digest()  # version 1, raw, sha2-256, 32 bytes
    cid = "b" + base64.b32encode(binary).decode().lower().rstrip("=")
    job = make_job({"from": "loaded"})
    job["jobs"]["loaded"] = {"type": "wasm/1.0", "with": LOADER, "func": "load", "input": [{"cid": {"/": cid}}]}
    return job


def expected(image: Picture) -> dict[str, Picture]:
    """Return what each job of the document has to give."""
    turned = rotate(image)
    cropped = crop(turned)
    grey = grayscale(cropped)
    return {"turned": turned, "cropped": cropped, "grey": grey, "soft": blur(grey), "soft-colour": blur(turned)}


def check(result: dict[str, Any]) -> int:
    """Write the images of a result, say whether they are right, and return the exit code."""
    wrong = 0
    for label, picture in expected(draw()).items():
        out = result["tasks"][label]["out"]
        text = out["ok"]["/"]["bytes"] if "ok" in out else ""
        file = base64.b64decode(text + "=" * (-len(text) % 4))
        name = f"{label}.{'pgm' if picture.channels == 1 else 'ppm'}"
        (HERE / name).write_bytes(file)
        right = file == picture.encode()
        wrong += not right
        print(f"{name}: {picture.width} x {picture.height}, {'right' if right else f'WRONG {out}'[:200]}")
    return 1 if wrong else 0


def main() -> int:
    """Write image.ppm and the documents, or check a result that stands on standard input."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--check", action="store_true", help="check the result on standard input")
    if words.parse_args().check:
        return check(json.load(sys.stdin))
    file = draw().encode()
    (HERE / "image.ppm").write_bytes(file)
    (HERE / "job.json").write_text(json.dumps(by_value(file)), encoding="utf-8")
    (HERE / "by-link.json").write_text(json.dumps(by_link(file), indent=2), encoding="utf-8")
    print(f"image.ppm: {SIDE} x {SIDE}, {len(file)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
