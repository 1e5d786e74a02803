"""Values and files that a stranger may write: texts that mean something to a shell, a page, a spreadsheet or a path; numbers, depth."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.support.mutations import places

MARK = "xliftmark"
"""In texts that must not come out as markup, as a formula or as a command."""
SECRET = "the-content-of-a-file-outside"

TEXTS = [
    "", " ", ".", "..", "-", "--store", "/", "~", "a/b", "../outside/secret.txt", "../../outside/secret.txt", "..\\..\\outside",
    "/etc/passwd", "/proc/self/environ", "/dev/full", "file:///etc/passwd", "C:\\x", "con", "x" * 300, "x" * 100_000, "a\nb", "a\r\nb",
    "a\tb", "\x00", "a\x00b", "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "\udfff\ud800",
    "\ufffe", "e\u0301" * 50, "a\u0300" * 2000, "🏳️‍🌈", "ı", "ß", "٣", "½", "１",
    f"=HYPERLINK({MARK})", f"+{MARK}", f"-{MARK}()", f"@{MARK}", f"\t={MARK}", f"\r={MARK}", f"<{MARK}>", f'"><{MARK} onload=x>',
    f"' on{MARK}='1", f'" on{MARK}="1', f"</script><{MARK}>", f"]]><{MARK}>", f"<!--<{MARK}>-->", f"javascript:{MARK}",
    f"\\{MARK}{{}}", f"\\input{{/etc/passwd}}\\{MARK}", "$x^$", "100% & #1_{}~^\\", "{{7*7}}", "{7}", "{0.__class__}", "%s%n%(a)s", "${HOME}",
    "`id`", "$(id)", "; id", "[bold]x[/nope]", "[/]", "[link=file:///etc]x", "| a | b |", "**x**", "![x](http://x)", "- x\n---\n# y",
    "!!python/object/apply:os.system [id]", "*a", "&a", "null", "true", "no", "~", "nan", "NaN", "inf", "1e999", "0x10", "1_000", "-1",
    "none", "all", "isle-nli", "isle-qa", "isle-pos", "en", "qta", "qtu", "xx", "zh-Hant-TW-x-private", "train", "test", "study", "accuracy",
    "train.csv", "model", "https://example.org/x?y=1#z", "2024-01-01", "12:30:45", "__class__", "__proto__", "self", "*", "?", "[a", "a:b",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 7, 100, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 0.5, -0.5, 1e-9, 1e-320, 1e300, -1e300, float("nan"),
    float("inf"), float("-inf"), 0.1, 1.0, -0.0, 1e15,
]  # fmt: skip


def deep(dice: random.Random) -> Any:
    """Lists or mappings inside each other, some hundred or thousand levels."""
    value: Any = dice.choice([1, "x", None])
    key = dice.choice(["a", "task", "name"])
    is_list = dice.random() < 0.5
    for _ in range(dice.choice([30, 120, 300])):
        value = [value] if is_list else {key: value}
    return value


def make_value(dice: random.Random) -> Any:
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(TEXTS)
    if kind < 0.75:
        return dice.choice(NUMBERS)
    if kind < 0.95:
        text = dice.choice(TEXTS)
        return dice.choice(
            [
                None,
                True,
                False,
                [],
                {},
                [[]],
                [text],
                {text: text},
                {"a": text},
                [None],
                [1, 2],
                [0.5, 0.5],
                [text, text],
            ]
        )
    if kind < 0.98:
        return [dice.choice(TEXTS[:20])] * dice.choice([2, 50, 1000])
    return deep(dice)


def damage_value(value: Any, dice: random.Random, keys: tuple[str, ...] = ()) -> tuple[Any, str]:
    """Change a JSON value in one to three places. Returns the new value and a description.

    Args:
        keys: names that a mapping may have, to add.
    """
    value, done = copy.deepcopy(value), []
    for _ in range(dice.choice([1, 1, 1, 1, 2, 3])):
        found = places(value)
        if not found or dice.random() < 0.01:
            value = make_value(dice)
            done.append(f"all is {str(value)[:60]!r}")
            continue
        place = dice.choice(found)
        *parents, last = place
        parent = value
        for key in parents:
            parent = parent[key]
        kind = dice.randrange(12)
        what = ""
        if kind <= 4:
            parent[last] = make_value(dice)
            what = f"= {str(parent[last])[:60]!r}"
        elif kind == 5:
            del parent[last]
            what = "is gone"
        elif kind in (6, 7):  # a value of another place, often of the right type
            other = value
            for key in dice.choice(found):
                other = other[key]
            parent[last] = copy.deepcopy(other)
            what = f"= {str(other)[:60]!r}, of another place"
        elif kind == 8 and isinstance(parent, dict):
            name = dice.choice([*keys, *TEXTS] if keys and dice.random() < 0.7 else TEXTS)
            parent[name] = parent.pop(last) if dice.random() < 0.5 else make_value(dice)
            what = f"is named {name[:60]!r}, or has it beside"
        elif kind == 9 and isinstance(parent, list):
            parent += [copy.deepcopy(parent[last])] * dice.choice([1, 1, 3, 200])
            what = "is repeated"
        elif kind == 10 and isinstance(parent[last], str):
            parent[last] = dice.choice(
                [
                    parent[last] + dice.choice(TEXTS),
                    dice.choice(TEXTS) + parent[last],
                    parent[last][:-1],
                    parent[last].upper(),
                ]
            )
            what = f"= {parent[last][:60]!r}"
        elif isinstance(parent[last], int | float) and not isinstance(parent[last], bool):
            parent[last] = dice.choice(
                [-parent[last], parent[last] + 1, parent[last] * 1000, float(parent[last]), str(parent[last])]
            )
            what = f"= {parent[last]!r}"
        else:
            parent[last] = [parent[last]] if dice.random() < 0.5 else {str(last): parent[last]}
            what = "is inside of another"
        done.append(f"{'.'.join(map(str, place))[:80]} {what}")
    return value, "; ".join(done)


def to_json(value: Any, dice: random.Random) -> str:
    """The value as JSON, with escapes for what UTF-8 lacks; a key may be repeated."""
    text = json.dumps(value, ensure_ascii=True)
    if dice.random() < 0.03 and text.startswith("{") and len(text) > 2:
        text = "{" + text[1:].split(",", 1)[0].rstrip("}") + "," + text[1:]
    return text
