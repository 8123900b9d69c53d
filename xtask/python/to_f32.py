"""Copies an MLX-format folder, every half-precision tensor widened to f32.

usage: to_f32.py FROM_FOLDER TO_FOLDER
"""

import shutil
import sys
from pathlib import Path

import mlx.core as mx


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    mx.set_default_device(mx.cpu)
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy2(file, target)
            continue
        tensors = mx.load(str(file))
        halves = (mx.float16, mx.bfloat16)
        wide = {
            name: tensor.astype(mx.float32) if tensor.dtype in halves else tensor
            for name, tensor in tensors.items()
        }
        mx.save_safetensors(str(target / file.name), wide, metadata={"format": "mlx"})


main()
