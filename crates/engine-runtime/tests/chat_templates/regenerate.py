"""Fetches chat templates as their models ship them, and renders each for every chat.

    python3 -m venv venv
    venv/bin/pip install transformers==5.23.0 jinja2==3.1.6
    venv/bin/python regenerate.py

Writes templates/ and expected/ anew; README.md says where the templates come from.
"""

import ast
import copy
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import jinja2
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

# Packages that carry templates of models, word for word, under Apache-2.0 or MIT.
PACKAGES = {
    "trl": "1.16.0",
    "axolotl": "0.19.0",
    "xinference": "1.10.0",
    "guidance": "0.3.1",
    "llama-cpp-python": "0.3.36",
}

# The packages whose templates are part of their source alone.
SOURCES = ["llama-cpp-python"]

# Name here: package, and the file in it or, for xinference, the model's name, for guidance the
# variable's.
TEMPLATES = {
    "aya-expanse": ("trl", "cohere"),
    "codellama": ("xinference", "code-llama-instruct"),
    "command-a": ("axolotl", "command_a_tool_use"),
    "deepseek-coder": ("xinference", "deepseek-coder-instruct"),
    "deepseek-r1-0528": ("xinference", "deepseek-r1-0528"),
    "deepseek-r1-distill": ("trl", "deepseek_r1_distill"),
    "deepseek-v2": ("xinference", "deepseek-v2-chat"),
    "deepseek-v2.5": ("xinference", "deepseek-v2.5"),
    "deepseek-v3": ("trl", "deepseekv3"),
    "deepseek-v3.1": ("xinference", "Deepseek-V3.1"),
    "ernie-4.5": ("xinference", "Ernie4.5"),
    "exaone-4": ("axolotl", "exaone4"),
    "falcon-h1": ("axolotl", "falcon_h1"),
    "gemma-2": ("trl", "gemma"),
    "gemma-3": ("trl", "gemma3"),
    "gemma-3n": ("axolotl", "gemma3n"),
    "gemma-4": ("trl", "gemma4_v5"),
    "glm-4": ("xinference", "glm4-chat"),
    "glm-4-0414": ("xinference", "glm4-0414"),
    "glm-4.5": ("trl", "glm4moe"),
    "gpt-oss": ("trl", "gptoss"),
    "hermes-2": ("xinference", "openhermes-2.5"),
    "internlm-3": ("xinference", "internlm3-instruct"),
    "jamba": ("axolotl", "jamba"),
    "lfm2": ("trl", "lfm2_v2"),
    "lfm2.5": ("trl", "lfm2_2_5_v2"),
    "llama-2": ("xinference", "llama-2-chat"),
    "llama-3": ("trl", "llama3"),
    "llama-3.1": ("trl", "llama3_1"),
    "llama-3.2": ("trl", "llama3_2"),
    "llama-3.2-vision": ("axolotl", "llama3_2_vision"),
    "llama-4": ("axolotl", "llama4"),
    "minicpm-3": ("xinference", "minicpm3-4b"),
    "mistral-7b-v0.1": ("xinference", "mistral-instruct-v0.1"),
    "mistral-7b-v0.3": ("xinference", "mistral-instruct-v0.3"),
    "mistral-nemo": ("xinference", "mistral-nemo-instruct"),
    "mistral-small-v7": ("axolotl", "mistral_v7_tekken"),
    "moonlight": ("xinference", "moonlight-16b-a3b-instruct"),
    "nemotron-3-nano": ("trl", "nemotron_3_nano"),
    "phi-3": ("trl", "phi3"),
    "phi-3.5": ("trl", "phi3_5"),
    "phi-4": ("axolotl", "phi_4"),
    "phi-4-mini": ("guidance", "phi_4_mini_template"),
    "pixtral": ("axolotl", "pixtral"),
    "qwen1.5": ("xinference", "qwen1.5-chat"),
    "qwen2-vl": ("trl", "qwen2_5_vl"),
    "qwen2.5": ("trl", "qwen2_5"),
    "qwen2.5-coder": ("xinference", "qwen2.5-coder-instruct"),
    "qwen3": ("trl", "qwen3"),
    "qwen3-2507": ("trl", "qwen3_instruct_2507"),
    "qwen3-coder": ("xinference", "Qwen3-Coder"),
    "qwen3-thinking": ("xinference", "Qwen3-Thinking"),
    "qwen3-vl": ("trl", "qwen3_vl"),
    "qwen3.5": ("trl", "qwen3_5_think"),
    "qwq": ("xinference", "QwQ-32B"),
    "seed-oss": ("xinference", "seed-oss"),
    "smollm3-unsloth": ("llama-cpp-python", "HuggingFaceTB-SmolLM3-3B"),
    "smolvlm": ("trl", "smolvlm"),
    "yi-1.5": ("xinference", "Yi-1.5-chat"),
}


class Frozen(datetime.datetime):
    """The moment at which the tests render."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 6, 19, 5, 3)


def fetch(folder):
    """The packages' wheels, or sources, by name."""
    archives = {}
    for name, version in PACKAGES.items():
        kind = ["--no-binary", name] if name in SOURCES else ["--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind]
        subprocess.run([*command, "--dest", folder, f"{name}=={version}"], check=True)
        file = next(pathlib.Path(folder).glob(f"{name.replace('-', '_')}-*"))
        archives[name] = tarfile.open(file) if name in SOURCES else zipfile.ZipFile(file)
    return archives


def template(archives, package, name):
    wheel = archives[package]
    match package:
        case "guidance":
            module = ast.parse(wheel.read("guidance/chat.py"))
            assigned = (part for part in module.body if isinstance(part, ast.Assign))
            return next(ast.literal_eval(part.value) for part in assigned if ast.unparse(part.targets[0]) == name)
        case "llama-cpp-python":
            root = f"llama_cpp_python-{PACKAGES[package]}/vendor/llama.cpp/models/templates"
            return wheel.extractfile(f"{root}/{name}.jinja").read().decode()
        case "trl":
            return wheel.read(f"trl/chat_templates/{name}.jinja").decode()
        case "axolotl":
            return wheel.read(f"axolotl/utils/chat_templates/templates/{name}.jinja").decode()
        case "xinference":
            families = json.loads(wheel.read("xinference/model/llm/llm_family.json"))
            return next(family["chat_template"] for family in families if family["model_name"] == name)


def as_templates_see_it(message, arguments_as_text):
    """What the engine makes of a message: reasoning under each of its names, arguments as an object."""
    message = copy.deepcopy(message)
    if "reasoning" in message:
        message["reasoning_content"] = message["thinking"] = message["reasoning"]
    for call in message.get("tool_calls", []):
        arguments = json.loads(call["function"]["arguments"])
        if arguments_as_text:
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        call["function"]["arguments"] = arguments
    return message


def with_metadata(message):
    """As the page of GLM-4-32B-0414 says: a message for each call, and the role of results."""
    if message["role"] == "tool":
        return [message | {"role": "observation"}]
    calls = message.get("tool_calls", [])
    text = {key: value for key, value in message.items() if key != "tool_calls"}
    return [text] * (not calls or text["content"] != "") + [
        {
            "role": "assistant",
            "metadata": call["function"]["name"],
            "content": json.dumps(json.loads(call["function"]["arguments"]), ensure_ascii=False),
        }
        for call in calls
    ]


def messages_for(source, chat, arguments_as_text):
    if "metadata" in source and "tool_calls" not in source:
        return [form for message in chat["messages"] for form in with_metadata(message)]
    return [as_templates_see_it(message, arguments_as_text) for message in chat["messages"]]


def render_once(source, chat, arguments_as_text):
    variables = dict(SPECIAL_TOKENS)
    if "thinking" in chat:
        variables |= {"enable_thinking": chat["thinking"], "thinking": chat["thinking"]}
    rendered, _ = chat_template_utils.render_jinja_template(
        conversations=[messages_for(source, chat, arguments_as_text)],
        tools=chat.get("tools"),
        chat_template=source,
        add_generation_prompt=True,
        **variables,
    )
    return rendered[0]


def render(source, chat):
    """The text, or a refusal: with the template's own words if it raised them itself."""
    has_calls = any("tool_calls" in message for message in chat["messages"])
    refusal = None
    for arguments_as_text in [False, True] if has_calls else [False]:
        try:
            return {"text": render_once(source, chat, arguments_as_text)}
        except jinja2.exceptions.UndefinedError:
            refusal = refusal or {"refused": None}
        except jinja2.exceptions.TemplateError as error:
            refusal = refusal or {"refused": str(error)}
        except Exception:  # What Python itself says of a template's operation.
            refusal = refusal or {"refused": None}
    return refusal


def main():
    chat_template_utils.datetime = Frozen
    chats = json.loads((HERE / "chats.json").read_text(encoding="utf-8"))
    for folder in ["templates", "expected"]:
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    with tempfile.TemporaryDirectory() as folder:
        archives = fetch(folder)
        for name, origin in TEMPLATES.items():
            source = template(archives, *origin)
            with (HERE / "templates" / f"{name}.jinja").open("w", encoding="utf-8", newline="") as file:
                file.write(source)
            expected = {chat["name"]: render(source, chat) for chat in chats}
            text = json.dumps(expected, ensure_ascii=False, indent=1)
            (HERE / "expected" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
