"""Damage for files and folders: bytes, values of JSON, tensors. Every change is drawn from a seeded generator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKENS = [
    b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\n\n", b"\0", b"\t", b'"', b'""', b",", b"{", b"[" * 3000, b"}",
    b"NaN", b"null", b"Infinity", b"-1", b"1e999", b"9" * 5000, b"true", b"\\ud800", b"\xed\xa0\x80", b"\\u0000", b"\xc3",
    b"\xe2\x80\xa8", b"\xc2\x85", b"\xe9", b"<!ENTITY x 'y'>", b"&x;", b"<item>", b"#", b"1-2", b"0", b"A" * 200_000, b" ",
]  # fmt: skip


def mutate_bytes(content: bytes, seed: str) -> bytes:
    """Damage the content in one to three places: flip, cut, repeat or insert bytes; swap fields, lines or line ends."""
    dice = random.Random(seed)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        a, b = sorted((dice.randrange(len(content) + 1), dice.randrange(len(content) + 1)))
        b = min(b, a + dice.choice([1, 2, 8, 64, len(content)]))
        kind = dice.randrange(9)
        if kind == 0 and content:
            at = dice.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]
        elif kind == 1:
            content = content[:a]
        elif kind == 2:
            content = content[:a] + content[b:]
        elif kind == 3:
            content = content[:b] + content[a:b] + content[b:]
        elif kind == 4:
            content = content[:a] + dice.choice(TOKENS) + content[a:]
        elif kind == 5:
            content = content[:a] + dice.choice(TOKENS) + content[b:]
        elif kind == 6:
            content = content[:a] + dice.randbytes(dice.randrange(1, 5)) + content[a:]
        else:
            mark = dice.choice([b"\n", b"\t", b",", b" ", b'"', b"\r\n"])
            parts = content.split(mark)
            i, j = dice.randrange(len(parts)), dice.randrange(len(parts))
            parts[i], parts[j] = parts[j], parts[i]
            content = mark.join(parts)
    return content


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 10**9, 0.5, -0.5, "", "x", "gelu", "3", "<s>", [], [1], ["x"], {}, {"x": 1}, "a" * 500,
]  # fmt: skip


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a JSON value. Only a few of a large one, so that vocabularies do not outweigh the rest."""
    children = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if len(children) > 40:
        children = children[:2] + children[len(children) // 2 :][:1] + children[-2:]
    return ([place] if place else []) + [each for key, child in children for each in places(child, (*place, key))]


def change_json(path: Path, dice: random.Random) -> str:
    """Replace or remove one value of a JSON file, and say which."""
    content = json.loads(path.read_text(encoding="utf-8"))
    place = dice.choice(places(content))
    *parents, last = place
    parent = content
    for key in parents:
        parent = parent[key]
    if dice.random() < 0.2 and isinstance(parent, dict):
        del parent[last]
    elif isinstance(parent[last], int) and not isinstance(parent[last], bool) and dice.random() < 0.5:
        parent[last] += dice.choice([-1, 1, 10, 100])
    else:
        parent[last] = copy.deepcopy(dice.choice(VALUES))
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return f"{place} is {parent.get(last, 'gone') if isinstance(parent, dict) else parent[last]!r}"


def change_bytes(path: Path, dice: random.Random) -> None:
    """Cut, lengthen or empty a file, flip a bit of its first 4,000 bytes, or put something else in its place."""
    content = path.read_bytes()
    kind = dice.randrange(6)
    if kind == 0:
        content = content[: dice.randrange(len(content))]
    elif kind == 1:
        content += dice.randbytes(dice.choice([1, 8, 100]))
    elif kind in (2, 3):
        at = dice.randrange(min(len(content), 4000))
        content = content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]
    elif kind == 4:
        content = dice.choice(
            [b"", b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 100, b"PK\3\4", b"[]"]
        )
    else:
        a, b = sorted((dice.randrange(len(content)), dice.randrange(len(content))))
        content = content[:a] + content[min(b, a + 20) :]
    path.write_bytes(content)


def change_header(path: Path, dice: random.Random) -> None:
    """Remove, rename or add a tensor, or change its dtype, shape or offsets. The bytes of the tensors stay."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = dice.choice([name for name in header if name != "__metadata__"])
    entry, kind = header[name], dice.randrange(6)
    if kind == 0:
        del header[name]
    elif kind == 1:
        header[dice.choice([name + "x", name.replace(".0.", ".9."), "x." + name, name.replace("weight", "bias")])] = (
            header.pop(name)
        )
    elif kind == 2:
        entry["dtype"] = dice.choice(["F16", "F64", "I32", "U32", "F8_E4M3", "F4", "X", 3])
    elif kind == 3:
        entry["shape"] = dice.choice([entry["shape"][::-1], [*entry["shape"], 1], [], [-1], "x", [1 << 70]])
    elif kind == 4:
        entry["data_offsets"] = dice.choice([[0, 0], [entry["data_offsets"][0] + 4] * 2, [-1, 4], 3])
    else:
        header["__metadata__"] = dice.choice(["x", {"format": 3}, {"format": "x"}, None])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def drop_tensor(path: Path, dice: random.Random) -> None:
    """Write the weights without one tensor, or with one of another shape."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    name = dice.choice(sorted(tensors))
    if dice.random() < 0.5:
        del tensors[name]
    elif dice.random() < 0.5:
        tensors[name] = tensors[name][: max(1, len(tensors[name]) // 2)].contiguous()
    else:
        tensors[dice.choice(["encoder.x", "layers.7.x", name + ".x"])] = tensors[name].clone()
    save_file(tensors, path, metadata={"format": "pt"})


def split_weights(path: Path, dice: random.Random) -> None:
    """Write the weights as two shards with an index, and damage one of the three files in half of the cases."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    names = sorted(tensors)
    index: dict[str, Any] = {"metadata": {"total_size": 1}, "weight_map": {}}
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for n, file in enumerate(files):
        part = {name: tensors[name] for name in names[n::2]}
        save_file(part, path.with_name(file), metadata={"format": "pt"})
        index["weight_map"] |= dict.fromkeys(part, file)
    path.unlink()
    path.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    if dice.random() < 0.8:
        victim = path.with_name(dice.choice([*files, "model.safetensors.index.json"]))
        damage: Callable[[Path, random.Random], object] = dice.choice([change_bytes, drop_file, drop_tensor])
        if victim.suffix == ".json":
            damage = dice.choice([change_bytes, drop_file, change_json])
        damage(victim, dice)


def change_vocabulary(path: Path, dice: random.Random) -> str:
    """Add a token to tokenizer.json, or take one away, or give one another id."""
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary, added = content["model"]["vocab"], content["added_tokens"]
    last = max(len(vocabulary), *(token["id"] + 1 for token in added), 0)
    kind = dice.randrange(4)
    if kind == 0:
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        added.append({"id": last, "content": "<url>", "special": dice.random() < 0.5} | flags)
    elif kind == 1 and added:
        gone = added.pop(dice.randrange(len(added)))["content"]
        if isinstance(vocabulary, dict):
            vocabulary.pop(gone, None)
    elif isinstance(vocabulary, dict):
        vocabulary[dice.choice(list(vocabulary)) if kind == 2 else "new"] = last + dice.choice([0, 50, 200])
    else:
        vocabulary += [[f"new{n}", -5.0] for n in range(dice.choice([1, 50, 200]))]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return f"kind {kind}"


def drop_file(path: Path, dice: random.Random) -> None:
    path.unlink()


def mutate_folder(folder: Path, dice: random.Random) -> str:
    """Damage a folder, and say how."""
    path = dice.choice(sorted(path for path in folder.iterdir() if not path.name.startswith("heads.")))
    kinds: list[Callable[[Path, random.Random], object]] = [change_bytes, drop_file]
    if path.suffix == ".json":
        kinds += [change_json] * 8
        kinds += [change_vocabulary] * 8 if path.name == "tokenizer.json" else []
    elif path.name == "model.safetensors":
        kinds += [change_header, drop_tensor, split_weights] * 2
    damage = dice.choice(kinds)
    return f"{damage.__name__} of {path.name}: {damage(path, dice) or ''}"
