"""Tokenizers of every kind, trained on a few lines: as `tokenizer.json` files."""

import tempfile
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = (
    "The committee met on Tuesday, and it's agreed that the work should go on: 1,024 pages in 365 days.",
    "Der Ausschuss trat am Dienstag zusammen, um über den Bericht zu beraten.",
    "def add(a, b):\n    return a + b  # they'll add\n",
    "委员会于星期二开会审议报告。",
)
LLAMA_3 = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)
KINDS = ("gpt2", "llama3", "llama2", "wordpiece", "unigram")


@cache
def small_tokenizer(kind: str = "gpt2") -> str:
    """Path of the file of a tokenizer of about 400 tokens, with a special token before each text."""
    special = ["<s>", "<unk>"]
    if kind in ("gpt2", "llama3"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
        )
        cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "gpt2")
        split = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
        tokenizer.pre_tokenizer = cut if kind == "gpt2" else pre_tokenizers.Sequence([split, cut])
    elif kind == "llama2":
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    tokenizer.train_from_iterator(LINES * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.enable_truncation(8)
    path = Path(tempfile.mkdtemp(prefix="curate-tests-")) / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)
