"""How much of planted personal data the two presets of `pii` find, and how much of what is none they take for some.

    python tests/bench/pii.py [--json]

Recall: addresses and numbers drawn at random stand in sentences of nine languages, some without spaces; `recall` is the
share that is masked. Precision: strings that only look alike (file names, matrix products, versions, sections, dates,
counters, order numbers) stand in lines of code and prose; `precision` is the share of masked strings that were
planted, over both. `per_mb` counts matches in the sources of Python's standard library, where nearly none is anybody's.
"""

import argparse
import json
import random
import sysconfig
from pathlib import Path

import phonenumbers

from curate.stages.pii import pii
from curate.testing import docs

SENTENCES = {
    "email": "Write to {}.|Contact: {} or call|请发邮件至{}联系我们|メールは{}まで|문의는 {}로|Пишите на {}!",
    "ip": "server at {} failed|Connection from {}:443|ping {}|服务器地址{}端口|host {} is down|адрес {}.",
    "phone": "Tel. {}|Call {} now|电话：{}联系|電話 {} まで|전화 {}로|телефон {}, спросить",
}
ALIKE = {
    "email": "logo@{0}x.png|q@k{0}.transpose(-2)|git@github.com:acme/w{0}.git|W@x.T + b{0}|app:pw{0}@db.corp.lan:5432",
    "ip": 'section 5.2.{0}.3 of|version="{0}.0.0.0"|driver 1.2.{0}.4 or later|Chrome/12{0}.0.0.1|v3.1.{0}.2',
    "phone": "[+21474836{0}7, -1]|+1980-02-2{0} 01:00|part no 234-567-89{0}1|1.23456{0}89e+12|ISBN 978-3-16-14841{0}-0",
}
REGIONS = ("US", "DE", "GB", "CN", "JP", "FR", "IN", "BR")


def drawn(kind: str, chance: random.Random) -> str:
    """An address or number as one could be written."""
    if kind == "email":
        user = "".join(chance.choices("abcdefghij0123", k=chance.randint(3, 9)))
        host = ".".join(map(chance.choice, (("mail", "web", "uni-bonn"), ("com", "org", "de", "co.jp"))))
        return f"{user}.{chance.choice('xyz')}@{host}"
    if kind == "ip":
        first = chance.choice((23, 51, 91, 185, 203))
        return f"{first}.{chance.randint(1, 255)}.{chance.randint(1, 255)}.{chance.randint(1, 254)}"
    fixed = phonenumbers.PhoneNumberType.FIXED_LINE
    example = phonenumbers.example_number_for_type(chance.choice(REGIONS), fixed)
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def measure(preset: str) -> dict:
    chance, result = random.Random(0), {}
    for kind, sentences in SENTENCES.items():
        texts = [sentence.format(drawn(kind, chance)) for sentence in sentences.split("|") for _ in range(50)]
        alike = [text.format(chance.randint(0, 9)) for text in ALIKE[kind].split("|") for _ in range(50)]
        found, wrong = (
            sum(pii(docs(*lines), kinds=[kind], mode="mark", preset=preset)[f"n_{kind}s"].to_pylist())
            for lines in (texts, alike)
        )
        result[kind] = {"recall": round(found / len(texts), 3), "precision": round(found / max(found + wrong, 1), 3)}
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sources]
    counted = pii(docs(*texts), mode="mark", preset=preset)
    size = sum(map(len, texts)) / 1e6
    for kind in result:
        result[kind]["per_mb"] = round(sum(counted[f"n_{kind}s"].to_pylist()) / size, 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = {preset: measure(preset) for preset in ("precision", "recall")}
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
