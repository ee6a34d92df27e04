"""Whether it matters what a model is quantized with: perplexity after GPTQ with calibration sets from three places.

    python tests/bench/calibration.py [--json] [--work FOLDER] [--release FOLDER] [--other FOLDER]

Needs PyTorch: `pip install ".[proof]"`. On a release (`--release`, which must have a validation split; else one of web
pages and sources from the demo's corpus) a byte-level BPE of 2,048 ids and a small transformer (`small_gpt.py`) are
trained. The linear layers of its blocks, not its embedding and head, are then quantized with GPTQ (`gptq.py`) to 4 and
3 bits, each time with as many sequences:

    release  `curate calibrate` of the release
    other    `curate calibrate` of a release of other text (`--other`; else English web pages where they are at hand,
             else the language reference of the demo's corpus)
    random   token ids drawn uniformly
    rtn      none: rounded to nearest, which takes no data

The figure is the perplexity of tokens of the release's validation split, which neither the model nor a set has seen.
One model is trained, as that takes the most time; the seeds are those of the sets. `--model-seed` trains another.

The defaults keep to what is usual for large models: groups of 128 weights, and 64 calibration tokens for each unit of
width, as 128 sequences of 2,048 tokens are for a width of 4,096. What is in --work is used again, so that other sets
can be tried on the same model.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from gptq import quantize
from safetensors.numpy import load_file
from small_gpt import GPT, perplexity, train
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from curate.calibration.calibrate import calibrate
from curate.demo_corpus import make_demo
from curate.models import tokenizer as tokenizers
from curate.release.make import run_events

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ENGLISH = SHARED / "rows" / "llamafactory" / "c4_demo.jsonl"
END = "<|endoftext|>"
IDS, LENGTH, WIDTH, GROUP = 2048, 256, 128, 128
"""Of the tokenizer; tokens of a sequence; of the model; weights that share a scale."""

HELD_OUT = 256
"""Sequences of the validation split to measure with, at most."""

SOURCES = {
    "web": {"inputs": ["corpus/web.warc.gz"], "pipeline": "quickstart"},
    "code": {"inputs": ["corpus/code.parquet"], "layout": "the-stack"},
}
OTHERS = {
    "english": {"inputs": [str(ENGLISH)]},
    "reference": {"inputs": ["corpus/reference.jsonl"], "layout": "slimpajama", "pipeline": ["normalize"]},
}
STAGES = [{"length": {"min_words": 50}}, {"exact_dedup": "normalized_text"}, "near_dedup"]


def make_release(work: Path, name: str, sources: dict, validation: float = 0) -> Path:
    """The release of sources, in the folder that holds the demo's corpus."""
    manifest = {"name": name, "version": "1.0.0", "license": "other", "sources": sources, "stages": STAGES}
    path = work / f"{name}.yaml"
    path.write_text(yaml.safe_dump(manifest | {"mixture": {"validation": validation}}), encoding="utf-8")
    *_, released = run_events(path, work / "work", workers=0)
    return released.path


def texts(release: Path, split: str) -> list[str]:
    """Of `train`, in all phases, or of `validation`."""
    paths = sorted((release / "data").rglob(f"{split}-*.parquet"))
    if not paths:
        sys.exit(f"error: {release} has no shards of {split}\nfix: make it with `mixture: {{validation: 0.05}}`")
    return [text for path in paths for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]


def train_tokenizer(texts: list[str], path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=IDS, initial_alphabet=alphabet, special_tokens=[END], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))


def stream(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> Tensor:
    """int64[tokens] of all texts, each ended."""
    end = np.array([tokenizer.id_of(END)], np.uint32)
    pieces = [piece for ids in tokenizer.encode(texts) for piece in (ids, end)]
    return torch.from_numpy(np.concatenate(pieces).astype(np.int64))


def windows(tokens: Tensor, length: int, most: int) -> Tensor:
    """int64[windows, length] one after the other, evenly spread if there are more than `most`."""
    every = tokens[: len(tokens) // length * length].view(-1, length)
    return every[torch.linspace(0, len(every) - 1, min(most, len(every))).long()]


def unigram(tokens: Tensor, windows: Tensor) -> float:
    """Perplexity of predicting each token by its frequency alone."""
    counts = torch.bincount(tokens, minlength=IDS).double() + 1
    return math.exp(-(counts / counts.sum()).log()[windows[:, 1:]].mean())


def calibrated(release: Path, tokenizer: tokenizers.Tokenizer, sequences: int, seed: int) -> Tensor:
    """What `curate calibrate` draws from a release: int64[sequences, LENGTH]."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"tokenizer": str(tokenizer.path), "sequences": sequences, "length": LENGTH, "seed": seed}
        made = calibrate(release, "gptq", **options, to=folder)
        return torch.from_numpy(load_file(made.path / "calibration.safetensors")["input_ids"])


def trained(work: Path, tokens: Tensor, steps: int, seed: int) -> GPT:
    """The model, trained or as it was left."""
    torch.manual_seed(seed)
    model, path = GPT(IDS, width=WIDTH), work / f"model-{steps}-{seed}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path))
    else:
        train(model, tokens, steps, LENGTH)
        torch.save(model.state_dict(), path)
    return model


def quantized(model: GPT, bits: int, ids: Tensor | None, held_out: Tensor) -> float:
    """Perplexity of a quantized copy."""
    copy = GPT(IDS, width=WIDTH)
    copy.load_state_dict(model.state_dict())
    quantize(copy, bits, GROUP, ids)
    return perplexity(copy, held_out)


def measure(options: argparse.Namespace, work: Path) -> dict:
    make_demo(work)
    release = options.release or make_release(work, "proof", SOURCES, validation=0.05)
    name = "english" if ENGLISH.exists() else "reference"
    other = options.other or make_release(work, name, {name: OTHERS[name]})
    train_tokenizer(texts(release, "train"), work / "tokenizer.json")
    tokenizer = tokenizers.load(str(work / "tokenizer.json"))
    tokens = stream(tokenizer, texts(release, "train"))
    held_out = windows(stream(tokenizer, texts(release, "validation")), LENGTH + 1, HELD_OUT)
    talk(f"{len(tokens):,} tokens to train on, {held_out[:, 1:].numel():,} to measure with")
    model = trained(work, tokens, options.steps, options.model_seed)
    figures = {"fp": perplexity(model, held_out), "unigram": unigram(tokens, held_out)}
    talk("perplexity {fp:.2f}, by frequency alone {unigram:.0f}".format(**figures))
    figures |= {bits: {"release": [], "other": [], "random": [], "rtn": []} for bits in ("4", "3")}
    for bits in ("4", "3"):
        figures[bits]["rtn"].append(quantized(model, int(bits), None, held_out))
    for seed in range(options.seeds):
        chance = torch.Generator().manual_seed(seed)
        sets = {
            "release": calibrated(release, tokenizer, options.sequences, seed),
            "other": calibrated(other, tokenizer, options.sequences, seed),
            "random": torch.randint(IDS, (options.sequences, LENGTH), generator=chance),
        }
        for bits in ("4", "3"):
            for name, ids in sets.items():
                figures[bits][name].append(quantized(model, int(bits), ids, held_out))
                talk(f"seed {seed}, {bits} bits, {name}: {figures[bits][name][-1]:.3f}")
    return figures | {"from": {"release": described(release), "other": described(other)}}


def described(release: Path) -> str:
    """Name, version and digest."""
    lock = json.loads((release / "lock.json").read_text(encoding="utf-8"))
    return f"{lock['name']} {lock['version']} {lock['digest']}"


def talk(line: str) -> None:
    print(line, file=sys.stderr)


def table(figures: dict) -> str:
    """Medians over the seeds, the range where they differ, and how far above that of the model as it was trained."""
    lines = [f"{'bits':<6}{'set':<10}{'perplexity':>11}{'least':>10}{'most':>10}{'above':>10}"]
    lines += [f"{32:<6}{'':<10}{figures['fp']:>11.3f}"]
    for bits in ("4", "3"):
        for name, values in figures[bits].items():
            median, spread = statistics.median(values), ""
            if len(values) > 1:
                spread = f"{min(values):.3f}{max(values):>10.3f}"
            lines.append(f"{bits:<6}{name:<10}{median:>11.3f}{spread:>20}{median / figures['fp'] - 1:>10.2%}")
    return "\n".join([*(f"{kind}: {what}" for kind, what in figures["from"].items()), *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="kept; for one release [default: a temporary one]")
    parser.add_argument("--release", type=Path, metavar="FOLDER", help="a release with a validation split")
    parser.add_argument("--other", type=Path, metavar="FOLDER", help="a release of other text")
    parser.add_argument("--seeds", type=int, default=3, help="calibration sets of each kind")
    parser.add_argument("--sequences", type=int, default=WIDTH * 64 // LENGTH, help="in a calibration set")
    parser.add_argument("--steps", type=int, default=2000, help="of training, 1,024 tokens each")
    parser.add_argument("--model-seed", type=int, default=0, help="of its weights and training")
    parser.add_argument("--threads", type=int, help="of PyTorch [default: one a core]")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        figures = measure(options, work)
    print(table(figures))
    talk(f"{time.perf_counter() - begin:.0f} s")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
