"""Releases of conversations, with token shards by a chat template."""

import random

from chat_templates import GENERATION, LINES, chat_tokenizer, write_config
from releases import rows, write_jsonl, write_manifest

CONTEXT = 600


def talks(seed, count):
    """Conversations of one to four turns, one of them far too long; some with fields beside role and content."""
    chance, found = random.Random(seed), []
    for number in range(count):
        messages = [{"role": "system", "content": f"Number {number}"}] if number % 3 == 0 else []
        for turn in range(1 + number % 3):
            asked, answer = (" ".join(chance.sample(LINES, 1)) for _ in range(2))
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer * (turn + 1)}]
        if number == 5:
            messages[-1]["content"] = "again and again " * 200
        if number % 4 == 0:
            messages[-1]["reasoning"] = "So be it."
        found.append({"messages": messages} | ({"tools": [{"type": "function"}]} if number % 5 == 0 else {}))
    return found


def manifest(folder, **tokens):
    write_jsonl(folder / "talks.jsonl", talks(1, 40))
    write_jsonl(folder / "texts.jsonl", rows(2, 6, words=20))
    config = write_config(folder / "model", GENERATION)
    asked = {"tokenizer": chat_tokenizer(), "chat_template": str(config), "context": CONTEXT, "eos": "</s>"}
    sources = {
        "talks": {"inputs": ["talks.jsonl"], "layout": "messages"},
        "texts": {"inputs": ["texts.jsonl"]},
    }
    manifest = {"name": "chats", "version": "1.0.0", "license": "cc0-1.0", "sources": sources}
    return write_manifest(folder / "manifest.yaml", manifest | {"shards": {"size": "4KB"}, "tokens": asked | tokens})
