"""Prefill and decode speed of mlx-lm on MLX's CPU device, as one JSON line.

usage: measure.py MODEL_FOLDER PROMPT_TOKENS NEW_TOKENS

The first, short generation warms up and is not counted, as in mlx-lm's own benchmark.
"""

import json
import sys
import time

import mlx.core as mx
from mlx_lm import load
from mlx_lm.generate import generate_step


def run(model, prompt, new_tokens):
    """Seconds to the first token, and from there to the last."""
    start = time.perf_counter()
    first = None
    for _ in generate_step(mx.array(prompt), model, max_tokens=new_tokens):
        first = first or time.perf_counter()
    return first - start, time.perf_counter() - first


def main():
    folder, prompt_tokens, new_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    mx.set_default_device(mx.cpu)
    model, _ = load(folder)
    prompt = [100 + i % 1000 for i in range(prompt_tokens)]
    run(model, prompt[:4], 2)
    prefill, decode = run(model, prompt, new_tokens)
    print(
        json.dumps(
            {
                "prefill_tok_s": prompt_tokens / prefill,
                "decode_tok_s": (new_tokens - 1) / decode,
            }
        )
    )


main()
