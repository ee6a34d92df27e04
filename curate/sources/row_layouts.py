"""Row layouts of conversations and preferences; a new one is an entry in `ROW_LAYOUTS`.

Layouts of published sets whose rows are more than text, and the forms that most others have: how each row becomes
conversations.

What a layout does not use of a row is in `meta`. Where several answers to one question are documents of their own, they
have a `group` in common.
"""

from collections.abc import Callable, Sequence
from typing import Any

from curate.sources.conversations import (
    IMAGE_MARK,
    Conversation,
    RowLayout,
    a_list,
    digest,
    messages_of,
    pictures_of,
    said,
    string,
    tools_of,
    traced,
    with_system,
)
from curate.sources.layouts import BadRow

Reader = Callable[[dict], list[Conversation]]

SHARED = ("messages", "tools", "extras")
PAIRS = ("prompt", "chosen", "rejected", "tools", "extras")
PICTURED = (*SHARED, "images")
ANSWERS = ("messages", "group")


def _conversation(names: str) -> Reader:
    """Reads rows that have a conversation in one of these columns, `a|b`."""

    def read(row: dict) -> list[Conversation]:
        """A conversation, with an optional system message in a column `system`, and with `tools`."""
        where = _there(row, names)
        messages = with_system(messages_of(row.get(where), where), row)
        if any(picture["bytes"] for message in messages for picture in message.get("images", ())):
            raise BadRow("bad_images", f"`{where}` holds pictures: set `layout: messages-images`")
        return [Conversation(messages, tools=tools_of(row), used=(where, "tools", "system"))]

    return read


def _pictured(row: dict) -> list[Conversation]:
    """A conversation with images, in `images` or `image`, or in parts of its messages."""
    where, beside = _there(row, "messages|conversations"), _there(row, "images|image")
    messages = with_system(messages_of(row.get(where), where), row)
    images = pictures_of(row.get(beside), beside)
    images += [picture for message in messages for picture in message.pop("images", ())]
    _mark(messages, len(images))
    return [Conversation(messages, tools=tools_of(row), images=images, used=(where, beside, "tools", "system"))]


def _mark(messages: list[dict], count: int) -> None:
    """Give what is asked first a mark for each picture that has none."""
    missing = count - sum(message["content"].count(IMAGE_MARK) for message in messages)
    first = next((message for message in messages if message["role"] == "user"), messages[0])
    first["content"] = f"{IMAGE_MARK}\n" * missing + first["content"]


def _preference(row: dict) -> list[Conversation]:
    """Two answers to `prompt`, or to the preceding conversation: each a whole conversation, messages, or text."""
    asked, better, worse = (
        _there(row, names)
        for names in ("prompt|conversations|messages", "chosen|chosen_messages", "rejected|rejected_messages")
    )
    prompt = row.get(asked)
    begin = [] if prompt is None else _turns(prompt, asked, "user")
    sides = []
    for name in (better, worse):
        value = row.get(name)
        turns = _turns([value] if isinstance(value, dict) else value, name, "assistant")
        sides.append(turns if turns[0]["role"] != "assistant" else [*begin, *turns])
    shown = next((one["content"] for one in reversed(sides[0]) if one["role"] == "user"), None)
    used = (asked, better, worse, "tools", "system")
    chosen, rejected = (with_system(side, row) for side in sides)
    shown = prompt if isinstance(prompt, str) and begin == [said("user", prompt)] else shown
    return [Conversation(chosen=chosen, rejected=rejected, prompt=shown, tools=tools_of(row), used=used)]


def _turns(value: Any, where: str, role: str) -> list[dict]:
    """Messages, in a string of JSON too, or a text that this role says."""
    if isinstance(value, str) and not value.lstrip().startswith("[{"):
        return [said(role, value)]
    return messages_of(value, where)


def _alpaca(row: dict) -> list[Conversation]:
    """An instruction, its input, and the answer; `history` contains earlier [question, answer] pairs."""
    asked = string(row, "instruction", "no_question")
    about = row.get("input")
    messages = []
    for pair in _history(a_list(row, "history") or []):
        messages += [said("user", pair[0]), said("assistant", pair[1])]
    messages.append(said("user", f"{asked}\n{about}" if isinstance(about, str) and about.strip() else asked))
    messages.append(said("assistant", string(row, "output", "no_answer")))
    used = ("instruction", "input", "output", "system", "history", "tools")
    return [Conversation(with_system(messages, row), tools=tools_of(row), used=used)]


def _history(value: Any) -> list:
    """Raises BadRow: bad_messages for what is no list of pairs."""
    pairs = value if isinstance(value, list) else [None]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise BadRow("bad_messages", "`history` is no list of [question, answer]")
    return pairs


def _completion(row: dict) -> list[Conversation]:
    """A prompt and its completion, each messages or text."""
    for name, reason in (("prompt", "no_question"), ("completion", "no_answer")):
        if row.get(name) in (None, "", []):
            raise BadRow(reason, f"`{name}` is null, missing or empty")
    completion = row["completion"]
    after = _turns([completion] if isinstance(completion, dict) else completion, "completion", "assistant")
    messages = with_system([*_turns(row["prompt"], "prompt", "user"), *after], row)
    return [Conversation(messages, tools=tools_of(row), used=("prompt", "completion", "system", "tools"))]


def _openthoughts(row: dict) -> list[Conversation]:
    """Either configuration: conversations, or a problem with DeepSeek-R1's reasoning and solution."""
    if row.get("conversations") is not None:
        return _conversation("conversations")(row)
    trace, solution = (string(row, f"deepseek_{name}", "no_answer") for name in ("reasoning", "solution"))
    messages = [said("user", string(row, "problem", "no_question")), said("assistant", traced(trace, solution))]
    return [Conversation(messages, used=("problem", "deepseek_reasoning", "deepseek_solution"))]


_BY_GENERATION = {
    "is_reasoning_complete": "is_reasoning_complete",
    "correctness_math_verify": "correctness_math_verify",
    "correctness_llama": "correctness_llama",
    "finish_reasons": "finish_reason",
}
"""{list of a row of OpenR1-Math: what its values are called in meta}"""


def _openr1_math(row: dict) -> list[Conversation]:
    """Each generation becomes a document. `messages`, which repeats one of them, is not used."""
    problem = string(row, "problem", "no_question")
    generations = a_list(row, "generations")
    if not isinstance(generations, list) or not generations:
        raise BadRow("no_answer", "`generations` is no list of answers")
    lists = {name: a_list(row, name) for name in _BY_GENERATION if row.get(name) is not None}
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != len(generations):
            count = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
            raise BadRow("not_aligned", f"`{name}` has {count} for {len(generations)} generations")
    group = row["uuid"] if isinstance(row.get("uuid"), str) and row["uuid"] else digest(problem)
    used = ("problem", "generations", "messages", *_BY_GENERATION)
    made = []
    for place, generation in enumerate(generations):
        answer = string({f"generations[{place}]": generation}, f"generations[{place}]", "no_answer")
        meta = {_BY_GENERATION[name]: values[place] for name, values in lists.items() if values[place] is not None}
        messages = [said("user", problem), said("assistant", answer)]
        held = meta | {"generation": place}
        made.append(Conversation(messages, group=group, used=used, meta=held, record=str(place)))
    return made


def _s1k(row: dict) -> list[Conversation]:
    """Gemini's thinking trajectory and attempt."""
    question = string(row, "question", "no_question")
    thoughts = a_list(row, "thinking_trajectories")
    if not isinstance(thoughts, list) or not thoughts or not all(isinstance(text, str) for text in thoughts):
        raise BadRow("no_answer", "`thinking_trajectories` is no list of texts")
    messages = [said("user", question), said("assistant", traced("\n\n".join(thoughts), _attempt(row, "attempt")))]
    return [Conversation(messages, group=digest(question), used=("question", "thinking_trajectories", "attempt"))]


def _attempt(row: dict, name: str) -> str:
    return string(row, name, "no_answer")


def _s1k_1_1(row: dict) -> list[Conversation]:
    """The answers of DeepSeek-R1 and of Gemini become separate documents, with the name in `model` in meta."""
    question = string(row, "question", "no_question")
    fields = ("thinking_trajectory", "attempt", "grade", "grade_reason")
    used = ("question", *(f"{model}_{field}" for model in MODELS for field in fields))
    made = []
    for model in MODELS:
        if row.get(f"{model}_thinking_trajectory") is None and row.get(f"{model}_attempt") is None:
            continue
        trace, attempt = (_attempt(row, f"{model}_{field}") for field in fields[:2])
        grades = {field: row[f"{model}_{field}"] for field in fields[2:] if row.get(f"{model}_{field}") is not None}
        messages, meta = [said("user", question), said("assistant", traced(trace, attempt))], {"model": model} | grades
        made.append(Conversation(messages, group=digest(question), used=used, meta=meta, record=model))
    if not made:
        raise BadRow("no_answer", "neither model has an answer")
    return made


MODELS = ("deepseek", "gemini")
"""Whose answers s1K-1.1 has; s1.1 was trained on those of the first."""


def _limo(row: dict) -> list[Conversation]:
    """A question and a solution with reasoning."""
    messages = [
        said("user", string(row, "question", "no_question")),
        said("assistant", string(row, "solution", "no_answer")),
    ]
    return [Conversation(messages, used=("question", "solution"))]


def _finevision(row: dict) -> list[Conversation]:
    """Turns about images; the first question gets their marks. Ratings are kept as lists, one value per turn."""
    texts = a_list(row, "texts")
    if not isinstance(texts, list) or not texts:
        raise BadRow("no_messages", "`texts` is no list of turns")
    messages = []
    for place, turn in enumerate(texts):
        if not isinstance(turn, dict) or not all(isinstance(turn.get(role), str) for role in TURN):
            raise BadRow("bad_messages", f"`texts[{place}]` is no object of `user` and `assistant`")
        messages += [said(role, turn[role]) for role in TURN]
    images = pictures_of(row.get("images"), "images")
    _mark(messages, len(images))
    return [Conversation(messages, images=images, used=("texts", "images"))]


TURN = ("user", "assistant")


def _there(row: dict, names: str) -> str:
    """The first of these columns, `a|b`, that a row has; the first of all where it has none."""
    options: Sequence[str] = names.split("|")
    return next((name for name in options if row.get(name) is not None), options[0])


ROW_LAYOUTS: dict[str, RowLayout] = {
    "messages": RowLayout(SHARED, ("messages|conversations",), _conversation("messages|conversations")),
    "sharegpt": RowLayout(SHARED, ("conversations|messages",), _conversation("conversations|messages")),
    "messages-images": RowLayout(PICTURED, ("messages|conversations",), _pictured),
    "preference": RowLayout(PAIRS, ("chosen|chosen_messages", "rejected|rejected_messages"), _preference),
    "alpaca": RowLayout(SHARED, ("instruction", "output"), _alpaca),
    "prompt-completion": RowLayout(SHARED, ("prompt", "completion"), _completion),
    "tulu3-sft": RowLayout(SHARED, ("messages", "source"), _conversation("messages")),
    "tulu3-preference": RowLayout(PAIRS, ("chosen", "rejected", "source"), _preference),
    "infinity-instruct": RowLayout(SHARED, ("conversations", "label", "source"), _conversation("conversations")),
    "openthoughts": RowLayout(SHARED, ("conversations|problem",), _openthoughts),
    "openr1-math": RowLayout(ANSWERS, ("problem", "generations"), _openr1_math),
    "s1k": RowLayout(ANSWERS, ("question", "thinking_trajectories", "attempt"), _s1k),
    "s1k-1.1": RowLayout(ANSWERS, ("question", "deepseek_attempt|gemini_attempt"), _s1k_1_1),
    "limo": RowLayout(("messages",), ("question", "solution"), _limo),
    "llava": RowLayout(PICTURED, ("conversations",), _pictured),
    "finevision": RowLayout(("messages", "images"), ("images", "texts"), _finevision),
}
"""{name: layout}. `curate.inspect.row_guess` says by which columns `curate init` recognizes them."""
