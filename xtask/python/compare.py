"""`engine-mlx` and mlx-lm on the same models, one after the other, several times.

usage: compare.py MEASURE FOLDER DEVICE SHAPES FORMS ROUNDS [JSON_FILE]

MEASURE is the example of engine-mlx, built; FOLDER is where the models are made, with random
weights; DEVICE is cpu, cuda or metal. Both sides run in processes of their own. Prints a table of
medians, and the share that decoding has in what the memory's bandwidth allows.

With --parity MEASURE MODEL_FOLDER DEVICE EXPECTED_JSON it compares greedy answers instead.
With --serve MODEL_FOLDER DEVICE it is mlx-lm's side of a measurement: a line of JSON on standard
input for each, as for MEASURE.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn

# mlx-lm 0.32.2 passes gather_qmm an argument, always None here, that MLX 0.32.2 does not know.
gather_qmm = mx.gather_qmm
mx.gather_qmm = lambda *args, global_scale=None, **named: gather_qmm(*args, **named)

PREFILL_CHUNK = 2048

LLAMA = {
    "model_type": "llama",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "vocab_size": 128256,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}

SHAPES = {
    "tiny": {
        **LLAMA,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "intermediate_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1200,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        **LLAMA,
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        **LLAMA,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
    },
    "qwen3-30b-a3b": {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 48,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
}


def device_of(name):
    return mx.cpu if name == "cpu" else mx.gpu


# Making models.


def matrices(config):
    """Names and shapes of all matrices, and the numbers that a token's step reads of each."""
    hidden = config["hidden_size"]
    head_dim = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries = config["num_attention_heads"] * head_dim
    keys = config["num_key_value_heads"] * head_dim
    yield "model.embed_tokens", (config["vocab_size"], hidden)
    if not config["tie_word_embeddings"]:
        yield "lm_head", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.self_attn.q_proj", (queries, hidden)
        yield f"{prefix}.self_attn.k_proj", (keys, hidden)
        yield f"{prefix}.self_attn.v_proj", (keys, hidden)
        yield f"{prefix}.self_attn.o_proj", (hidden, queries)
        experts = config.get("num_experts", 0)
        if experts:
            inner = config["moe_intermediate_size"]
            yield f"{prefix}.mlp.gate", (experts, hidden)
            yield f"{prefix}.mlp.switch_mlp.gate_proj", (experts, inner, hidden)
            yield f"{prefix}.mlp.switch_mlp.up_proj", (experts, inner, hidden)
            yield f"{prefix}.mlp.switch_mlp.down_proj", (experts, hidden, inner)
        else:
            inner = config["intermediate_size"]
            yield f"{prefix}.mlp.gate_proj", (inner, hidden)
            yield f"{prefix}.mlp.up_proj", (inner, hidden)
            yield f"{prefix}.mlp.down_proj", (hidden, inner)


def vectors(config):
    hidden = config["hidden_size"]
    yield "model.norm.weight", hidden
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", hidden
        yield f"{prefix}.post_attention_layernorm.weight", hidden
        if config["model_type"].startswith("qwen3"):
            yield f"{prefix}.self_attn.q_norm.weight", config["head_dim"]
            yield f"{prefix}.self_attn.k_norm.weight", config["head_dim"]


def make(folder, shape, form):
    """A model with random weights, "bf16" or "4bit" in groups of 64."""
    config = dict(SHAPES[shape])
    mx.random.seed(7)
    arrays = {name: mx.ones((size,), mx.bfloat16) for name, size in vectors(config)}
    for module, dims in matrices(config):
        std = dims[-1] ** -0.5
        if form == "bf16":
            arrays[f"{module}.weight"] = (mx.random.normal(dims) * std).astype(mx.bfloat16)
        else:
            words = (*dims[:-1], dims[-1] // 8)
            groups = (*dims[:-1], dims[-1] // 64)
            arrays[f"{module}.weight"] = mx.random.randint(0, 2**31, words).astype(mx.uint32)
            scales = mx.random.uniform(0.2, 0.3, groups) * std
            arrays[f"{module}.scales"] = scales.astype(mx.bfloat16)
            arrays[f"{module}.biases"] = (-7.5 * scales).astype(mx.bfloat16)
        mx.eval(arrays)
    if form == "4bit":
        config["quantization"] = {"group_size": 64, "bits": 4}
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, {"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config))
    # engine-mlx opens no folder without one; nothing here reads it.
    (folder / "tokenizer.json").write_text("{}")


def bytes_per_step(shape, form):
    """Bytes of weights that a step of one sequence reads."""
    config = SHAPES[shape]
    count = 0
    for module, dims in matrices(config):
        numbers = 1
        for dim in dims:
            numbers *= dim
        if "switch_mlp" in module:
            numbers = numbers // config["num_experts"] * config["num_experts_per_tok"]
        elif module == "model.embed_tokens" and not config["tie_word_embeddings"]:
            numbers = config["hidden_size"]
        count += numbers
    return count * (2 if form == "bf16" else 0.5 + 4 / 64)


def bandwidth():
    """Bytes a second that a sum over a large array reads."""
    array = mx.random.normal((1 << 29,) if mx.default_device() == mx.gpu else (1 << 25,))
    mx.eval(array)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        mx.eval(mx.sum(array))
        times.append(time.perf_counter() - start)
    return array.nbytes / statistics.median(times)


# mlx-lm's side.


def prompt_of(sequence, length):
    return [100 + (place * 7 + sequence * 131) % 1000 for place in range(length)]


def serve(folder, device):
    from mlx_lm.generate import BatchGenerator, generate_step
    from mlx_lm.utils import load_model

    mx.set_default_device(device_of(device))
    start = time.perf_counter()
    model, _ = load_model(Path(folder))
    mx.eval(model.parameters())
    print(json.dumps({"load_s": time.perf_counter() - start}), flush=True)

    def one(prompt, new):
        start = time.perf_counter()
        steps = generate_step(
            mx.array(prompt), model, max_tokens=new, prefill_step_size=PREFILL_CHUNK
        )
        next(steps)
        first = time.perf_counter()
        for _ in steps:
            pass
        return first - start, time.perf_counter() - first

    def several(prompts, new):
        generator = BatchGenerator(
            model,
            max_tokens=new,
            completion_batch_size=len(prompts),
            prefill_batch_size=len(prompts),
            prefill_step_size=PREFILL_CHUNK,
        )
        generator.insert(prompts)
        start = time.perf_counter()
        first, full, steps, decoding = None, 0, 0, 0.0
        while True:
            begun = time.perf_counter()
            responses = generator.next_generated()
            if not responses:
                break
            first = first or time.perf_counter()
            # Only steps of the whole batch count, and not the one that it was joined in.
            if len(responses) == len(prompts):
                full += 1
                if full > 1:
                    steps += 1
                    decoding += time.perf_counter() - begun
        generator.close()
        return first - start, decoding / max(steps, 1)

    def greedy(prompt, new):
        ids, tops = [], []
        for token, logprobs in generate_step(mx.array(prompt), model, max_tokens=new):
            best = mx.argsort(-logprobs)[:5].tolist()
            ids.append(int(token))
            tops.append([int(i) for i in best])
        return ids, tops

    for line in sys.stdin:
        wanted = json.loads(line)
        mx.reset_peak_memory()
        if "prompts" in wanted:
            answers = [greedy(prompt, wanted["new"]) for prompt in wanted["prompts"]]
            print(
                json.dumps({"ids": [a[0] for a in answers], "top": [a[1] for a in answers]}),
                flush=True,
            )
            continue
        prompts = [prompt_of(i, wanted["prompt"]) for i in range(wanted["batch"])]
        if wanted["batch"] == 1:
            first, decode = one(prompts[0], wanted["new"])
            rate = (wanted["new"] - 1) / decode
        else:
            first, step = several(prompts, wanted["new"])
            rate = wanted["batch"] / step
        result = {
            "first_token_s": first,
            "prefill_tok_s": wanted["prompt"] * wanted["batch"] / first,
            "decode_tok_s": rate,
            "peak_bytes": mx.get_peak_memory(),
        }
        print(json.dumps(result), flush=True)


# The comparison.

MEASUREMENTS = {
    "decode, batch 1": ({"prompt": 128, "new": 128, "batch": 1}, "decode_tok_s", "tok/s", 1.05),
    "decode, batch 8": ({"prompt": 128, "new": 128, "batch": 8}, "decode_tok_s", "tok/s", None),
    "decode, batch 32": ({"prompt": 128, "new": 128, "batch": 32}, "decode_tok_s", "tok/s", 1.2),
    "prefill 512": ({"prompt": 512, "new": 2, "batch": 1}, "prefill_tok_s", "tok/s", 1.0),
    "prefill 4096": ({"prompt": 4096, "new": 2, "batch": 1}, "prefill_tok_s", "tok/s", 1.0),
    "first token, 16": ({"prompt": 16, "new": 2, "batch": 1}, "first_token_s", "s", None),
    "peak memory": ({"prompt": 4096, "new": 2, "batch": 1}, "peak_bytes", "GB", None),
}
REPEATS = 3


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.loaded = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, wanted):
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def sides(measure, folder, device):
    ours = lambda: Side([measure, str(folder), device])
    theirs = lambda: Side([sys.executable, __file__, "--serve", str(folder), device])
    return {"ours": ours, "theirs": theirs}


def measured(side, scale):
    """Every figure, several times; the first of each kind warms up and is not counted."""
    runs = {}
    for name, (wanted, figure, _, _) in MEASUREMENTS.items():
        wanted = {
            **wanted,
            "prompt": max(8, int(wanted["prompt"] * scale)),
            "new": max(2, int(wanted["new"] * scale)),
        }
        side.ask({**wanted, "new": min(wanted["new"], 8)})
        answers = [side.ask(wanted) for _ in range(REPEATS)]
        runs[name] = [answer[figure] for answer in answers]
        if name == "decode, batch 1" and "build_us" in answers[0]:
            runs["build_us"] = [answer["build_us"] for answer in answers]
            runs["wait_us"] = [answer["wait_us"] for answer in answers]
    return runs


def compare(measure, folder, device, shape, form, rounds, peak):
    model = folder / f"{shape}-{form}"
    if not model.exists():
        make(model, shape, form)
        mx.clear_cache()
    runs = {"ours": {}, "theirs": {}}
    # The smallest shape only shows that everything works.
    scale = 1 if shape != "tiny" else 0.05
    order = ["ours", "theirs"]
    for _ in range(rounds):
        for name in order:
            side = sides(measure, model, device)[name]()
            for figure, values in measured(side, scale).items():
                runs[name].setdefault(figure, []).extend(values)
            side.close()
        order.reverse()
    median = lambda name, figure: statistics.median(runs[name][figure])
    rows = []
    for figure, (_, _, unit, goal) in MEASUREMENTS.items():
        ours, theirs = median("ours", figure), median("theirs", figure)
        ratio = ours / theirs if unit == "tok/s" else theirs / ours
        if unit == "GB":
            ours, theirs = ours / 1e9, theirs / 1e9
        row = {
            "model": f"{shape} {form}",
            "figure": figure,
            "unit": unit,
            "engine-mlx": ours,
            "mlx-lm": theirs,
            "times better": ratio,
            "goal": goal,
            "runs": {name: runs[name][figure] for name in runs},
        }
        if figure == "decode, batch 1":
            row["share of bandwidth"] = ours * bytes_per_step(shape, form) / peak
        rows.append(row)
    host = {figure: median("ours", figure) for figure in ("build_us", "wait_us")}
    return rows, host


def table(rows):
    lines = [
        "| model | figure | engine-mlx | mlx-lm 0.32.2 | times better | goal | of bandwidth |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for row in rows:
        goal = row["goal"]
        met = "" if goal is None else f"{goal}, {'met' if row['times better'] >= goal else 'NOT met'}"
        share = row.get("share of bandwidth")
        lines.append(
            f"| {row['model']} | {row['figure']} "
            f"| {row['engine-mlx']:.4g} {row['unit']} | {row['mlx-lm']:.4g} {row['unit']} "
            f"| {row['times better']:.2f} | {met} | {'' if share is None else f'{share:.0%}'} |"
        )
    return "\n".join(lines)


def parity(measure, folder, device, expected):
    """Greedy ids of both sides for the prompts of a kept comparison; the number of failures."""
    answers = json.loads(Path(expected).read_text())["answers"]
    wanted = {"new": 64, "prompts": [answer["prompt_ids"] for answer in answers]}
    found = {}
    for name, start in sides(measure, Path(folder), device).items():
        side = start()
        found[name] = side.ask(wanted)
        side.close()
    failures = 0
    print("| prompt | tokens | greedy ids against mlx-lm 0.32.2 on the same device |")
    print("| --- | ---: | --- |")
    for index, answer in enumerate(answers):
        ours, theirs = (found[name]["ids"][index] for name in ("ours", "theirs"))
        pairs = list(zip(ours, theirs))
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if at is None:
            verdict = f"equal ({len(pairs)} tokens)"
        else:
            a, b = pairs[at]
            mutual = (
                a in found["theirs"]["top"][index][at] and b in found["ours"]["top"][index][at]
            )
            failures += not mutual
            verdict = f"{'a mutual top-5 near-tie' if mutual else 'DIFFERENT'} at {at}"
        print(f"| {answer['name']} | {len(answer['prompt_ids'])} | {verdict} |", flush=True)
    return failures


def main():
    if sys.argv[1] == "--parity":
        raise SystemExit(parity(*sys.argv[2:6]))
    if sys.argv[1] == "--serve":
        return serve(*sys.argv[2:4])
    measure, folder, device, shapes, forms, rounds = sys.argv[1:7]
    mx.set_default_device(device_of(device))
    peak = bandwidth()
    mx.clear_cache()
    print(f"a sum over a large array reads {peak / 1e9:.0f} GB/s", flush=True)
    rows = []
    for shape in shapes.split(","):
        for form in forms.split(","):
            found, host = compare(
                measure, Path(folder), device, shape, form, int(rounds), peak
            )
            rows += found
            print(table(found), flush=True)
            print(
                f"a step of one sequence: {host['build_us']:.0f} us to build and start, then "
                f"{host['wait_us']:.0f} us of waiting for the device",
                flush=True,
            )
    if len(sys.argv) > 7:
        Path(sys.argv[7]).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
