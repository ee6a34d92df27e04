"""Chat templates in the style of published ones, conversations, and tokenizers that know their special tokens."""

import json
import tempfile
from functools import cache
from pathlib import Path

import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from curate.base.messages import MESSAGES

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GENERATION = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
            {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA = """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<|start|>system<|head|>\\n\\n' + system + '<|eot|>' }}
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '<|head|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|head|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """\
{{ bos_token }}{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate user/assistant/user/assistant') }}
{% endif %}
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] + eos_token }}
{%- endif %}
{% endfor %}
"""
TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\nTools:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=2) }}
        {{- '\\n' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- set state = namespace(calls=0) %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
        {%- continue %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.reasoning_content is defined %}
        {{- '<think>' + message.reasoning_content + '</think>' }}
    {%- endif %}
    {{- message.content }}
    {%- for call in message.tool_calls | default([]) %}
        {%- set state.calls = state.calls + 1 %}
        {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson }}
        {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
THINKING = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' and loop.last %}
        {{- '<think></think>' }}
    {%- endif %}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
TEMPLATES = {"chatml": CHATML, "generation": GENERATION, "llama": LLAMA, "mistral": MISTRAL, "tools": TOOLS}
"""All but `generation` leave it to others to find what the assistant wrote."""

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|head|>", "<|eot|>", "[INST]", "[/INST]"]
LINES = (
    "You are a helpful assistant. What is the weather in Paris, and what is 2 + 2?",
    "The user asks; the assistant answers <b>briefly</b> & politely.\n\n- one\n- two",
    '{"name": "get_weather", "arguments": {"city": "Zürich"}}',
    "天气很好。 Grüße!",
)


def said(*turns):
    """Messages of (role, content) or (role, content, further fields)."""
    return [{"role": role, "content": content} | (more[0] if more else {}) for role, content, *more in turns]


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a <city> & more",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich"}}}]}
CONVERSATIONS = [
    said(("user", "Hello!"), ("assistant", "Hi, what can I do?")),
    said(("user", "  What is 2 + 2? "), ("assistant", "\n4.\n"), ("user", "天气？"), ("assistant", "很好。 Grüße 😀")),
    said(("user", "Tell me <b>more</b>\n\n"), ("assistant", "")),
    said(("user", "No answer yet")),
]
WITH_SYSTEM = [said(("system", " Be brief. ")) + one for one in CONVERSATIONS]
WITH_TOOLS = said(
    ("system", "Use tools."),
    ("user", "Weather in Zürich?"),
    ("assistant", "", CALL | {"reasoning": "I must look"}),
    ("tool", '{"sky": "blue"}'),
    ("tool", "12 °C"),
    ("assistant", "Blue, 12 °C."),
)


def suited(name):
    """Conversations that a template takes, each with its tools."""
    found = [(one, None) for one in CONVERSATIONS]
    found += [] if name == "mistral" else [(one, None) for one in WITH_SYSTEM]
    return found + ([(WITH_TOOLS, [TOOL]), (WITH_TOOLS, None), (CONVERSATIONS[1], [])] if name == "tools" else [])


@cache
def chat_tokenizer(kind="bytes"):
    """Path of a small tokenizer with the special tokens of these templates, and `<think>` among others that are not
    special. bytes: byte-level BPE; spaces: BPE that puts a space before each text, as Llama 2 does."""
    added = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        options = {"vocab_size": 420, "initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    else:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        options = {"vocab_size": 600, "special_tokens": ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]}
    tokenizer.train_from_iterator(LINES * 8, trainers.BpeTrainer(show_progress=False, **options))
    tokenizer.add_special_tokens(added)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    path = Path(tempfile.mkdtemp(prefix="curate-tests-")) / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def write_config(folder, template, **more):
    """A tokenizer_config.json with this template, its special tokens as strings and as objects."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = {"bos_token": "<s>", "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True}}
    config = tokens | {"pad_token": None, "add_bos_token": True, "chat_template": template} | more
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({name: value for name, value in config.items() if value != "absent"}))
    return path


def chat_table(conversations, tools=None, **more):
    """A table of documents as a release has them. conversations: messages with further fields; None for text."""
    plain = [
        one and [{name: message.get(name) for name in ("role", "content")} for message in one] for one in conversations
    ]
    extras = [
        one
        and {
            "messages": [
                {key: value for key, value in message.items() if key not in ("role", "content")} or None
                for message in one
            ]
        }
        for one in conversations
    ]
    given = tools or [None] * len(conversations)
    texts = ["\n\n".join(message["content"] or "" for message in one) if one else "A text." for one in plain]
    columns = {
        "id": pa.array([f"{row:032x}" for row in range(len(plain))]),
        "text": pa.array(texts, pa.string()),
        "messages": pa.array(plain, MESSAGES),
        "tools": pa.array([None if one is None else json.dumps(one) for one in given], pa.string()),
        "extras": pa.array([None if one is None else json.dumps(one) for one in extras], pa.string()),
    }
    return pa.table(columns | more)
