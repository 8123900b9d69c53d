"""Greedy answers of mlx-lm on MLX's CPU device, as JSON lines.

usage: reference.py MODEL_FOLDER PROMPTS_JSON MAX_TOKENS [DTYPE MAX_PROMPT_TOKENS]

Each line has the rendered prompt, its ids, the greedy ids (the end-of-text token left out), why the
answer ended, and for each step the five likeliest tokens with their log-probabilities, by which a
near-tie can be told from a wrong answer.

mlx-lm computes in the widest type that any weight has, which for a folder with norms in f32 is f32
throughout. A DTYPE narrows all weights first; prompts beyond MAX_PROMPT_TOKENS are left out then.
"""

import json
import sys

import mlx.core as mx
from mlx_lm import load
from mlx_lm.generate import generate_step

TOP = 5


def prompt_of(tokenizer, prompt):
    """Text as `transformers` renders it, and ids as mlx-lm feeds them."""
    if "messages" in prompt:
        text = tokenizer.apply_chat_template(
            prompt["messages"], tokenize=False, add_generation_prompt=True
        )
        return text, tokenizer.encode(text, add_special_tokens=False)
    text = prompt["text"]
    return text, tokenizer.encode(text)


def top_of(logprobs):
    best = mx.argsort(-logprobs)[:TOP]
    return [[int(i), float(logprobs[i])] for i in best.tolist()]


def main():
    folder, prompts_file, max_tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    mx.set_default_device(mx.cpu)
    model, tokenizer = load(folder)
    longest = None
    if len(sys.argv) > 4:
        model.set_dtype(getattr(mx, sys.argv[4]))
        longest = int(sys.argv[5])
    with open(prompts_file, encoding="utf-8") as file:
        prompts = json.load(file)
    for prompt in prompts:
        rendered, prompt_ids = prompt_of(tokenizer, prompt)
        if longest is not None and len(prompt_ids) > longest:
            continue
        ids, tops, finish = [], [], "max_tokens"
        steps = generate_step(mx.array(prompt_ids), model, max_tokens=max_tokens)
        for token, logprobs in steps:
            tops.append(top_of(logprobs.astype(mx.float32)))
            if token in tokenizer.eos_token_ids:
                finish = "end_of_text"
                break
            ids.append(int(token))
        answer = {
            "name": prompt["name"],
            "rendered": rendered,
            "prompt_ids": [int(i) for i in prompt_ids],
            "ids": ids,
            "finish": finish,
            "top": tops,
        }
        print(json.dumps(answer, ensure_ascii=False), flush=True)


main()
