"""Checks one relation's history from Relatieboek, offline: python3 verify.py DIR [--checkpoint FILE] [--key KEY]

DIR is what `relatieboek audit export` wrote. FILE is a checkpoint that you kept yourself; KEY is the notary's public
key as you got it from another source than DIR. Exits 0 and says what was checked, or 1 and names what fails first.
Needs Python 3.9 or newer and the package `cryptography`; shares no code with Relatieboek.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Fails(Exception):
    """The first thing that does not hold."""


def need(holds: object, what: str) -> None:
    if not holds:
        raise Fails(what)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def number(value: float) -> str:
    """A number as ECMAScript writes it, which RFC 8785 asks for."""
    if value == int(value) and abs(value) < 2**53:
        return str(int(value))
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    every, minus, point = "".join(map(str, figures)), "-" * sign, len(figures) + int(exponent)
    if 0 < point <= 21:
        return minus + (every[:point] + "." + every[point:] if len(every) > point else every.ljust(point, "0"))
    if -6 < point <= 0:
        return minus + "0." + "0" * -point + every
    return f"{minus}{every[0]}{'.' * (len(every) > 1)}{every[1:]}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def canonical(value: Any) -> str:
    """RFC 8785 text of a JSON value."""
    kind = str(type(value).__name__)
    if kind == "dict":
        names: list[str] = sorted(value, key=lambda name: str(name).encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if kind == "list":
        return "[" + ",".join(map(canonical, value)) + "]"
    return number(value) if kind in ("int", "float") else json.dumps(value, ensure_ascii=False)


def read_key(text: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Name, hash and key of a verifier key `<name>+<hash>+<base64 of 0x01 and the key>`."""
    name, key_hash, encoded = text.strip().split("+", 2)
    key = base64.b64decode(encoded)
    need(key[:1] == b"\x01" and len(key) == 33, "the notary's key is no Ed25519 key")
    need(sha256(name.encode() + b"\n" + key)[:4].hex() == key_hash, "the notary's key does not fit its own hash")
    return name, bytes.fromhex(key_hash), Ed25519PublicKey.from_public_bytes(key[1:])


def open_note(note: str, key: tuple[str, bytes, Ed25519PublicKey]) -> tuple[str, int, bytes]:
    """Origin, size and heads root of a checkpoint that the notary signed."""
    text, _, signatures = note.partition("\n\n")
    for line in signatures.split("\n"):
        dash, name, encoded = [*line.split(" "), "", ""][:3]
        signature = base64.b64decode(encoded)
        if dash == "—" and name == key[0] and signature[:4] == key[1]:
            key[2].verify(signature[4:], (text + "\n").encode())
            said: list[Any] = re.findall(r"\A(.+)\n(0|[1-9][0-9]*)\n.+\nheads (.+)", text)
            need(said, "the note is signed, but no checkpoint of Relatieboek")
            return said[0][0], int(said[0][1]), base64.b64decode(said[0][2])
    raise Fails("the checkpoint is not signed by this notary")


def check_chain(lines: list[dict[str, Any]], head: dict[str, Any], size: int) -> None:
    """Every entry of one chain in its place and unaltered, up to its head."""
    version, position, prev = 0, 0, "0" * 64
    for line in lines:
        where = f"entry at position {line.get('position')} of relation {head['relation']}"
        data = line.pop("data")
        need(line["relation"] == head["relation"] == line["attributes"]["relation"], f"{where}: another relation's")
        need(line["version"] == version + 1, f"{where}: version {version + 1} is missing before it")
        need(position < line["position"] <= size, f"{where}: not in the order of the book")
        need(line["prev"] == prev, f"{where}: it does not follow the entry before it")
        need(sha256(canonical(data).encode()).hex() == line["data_sha256"], f"{where}: its data were altered")
        version, position, prev = line["version"], line["position"], sha256(b"\0" + canonical(line).encode()).hex()
    name = f"relation {head['relation']}"
    need(version == head["version"], f"{name}: {head['version']} entries were signed, {version} are here")
    need(prev == head["leaf"], f"entry at position {position} of {name}: it is not the one signed")


def check_head(head: dict[str, Any], root: bytes) -> None:
    """The chain's head is in the signed map of heads."""
    key = sha256(head["relation"].encode())
    bits, siblings = int.from_bytes(key, "big"), head["siblings"]
    found = sha256(b"\0" + key + head["version"].to_bytes(8, "big") + bytes.fromhex(head["leaf"]))
    for up, sibling in enumerate(map(bytes.fromhex, siblings), 256 - len(siblings)):
        found = sha256(b"\1" + (sibling + found if bits >> up & 1 else found + sibling))
    need(found == root, f"relation {head['relation']}: its last entry is not the one in the signed map of heads")


def check(directory: Path, kept: Path | None, pinned: str | None) -> None:
    proofs = json.loads((directory / "heads-proof.json").read_bytes())
    key = read_key(pinned or proofs["key"])
    origin, size, root = open_note((kept or directory / "checkpoint").read_bytes().decode(), key)
    found = [proof for proof in proofs["proofs"] if proof["size"] == size]
    need(found, f"there is no proof for a checkpoint of {size} entries: export again with --checkpoint and that file")
    texts = (directory / "entries.jsonl").read_bytes().decode().split("\n")[:-1]
    every = [json.loads(text) for text in texts]
    for at, line in enumerate(every):  # a line says nothing beside what is hashed of it, as with a member twice
        need(canonical(line) == texts[at], f"line {at + 1} of entries.jsonl is not in the form of RFC 8785")
    lines = [line for line in every if line["position"] <= size]
    need(kept or len(lines) == len(every), f"there are entries after position {size}, where the checkpoint ends")
    for head in found[0]["heads"]:
        mine = [line for line in lines if line["relation"] == head["relation"]]
        check_chain(mine, head, size)
        check_head(head, root)
        print(f"relation {head['relation']}: {len(mine)} entries, complete and unaltered up to position {size}")
    named = {head["relation"] for head in found[0]["heads"]}
    need(all(line["relation"] in named for line in lines), "there are entries of a relation that no proof covers")
    need(proofs["relation"] in named, f"there is no proof of relation {proofs['relation']}")
    said = sorted((line["position"], line["attributes"]) for line in lines if "absorbed" in line["attributes"])
    for one, kind in {each["absorbed"]: each["type"] for _, each in said}.items():
        need(one in named or ".merged." not in kind, f"relation {one} was absorbed, and its history is not here")
    known = "" if pinned else "; compare this key with the one you know"
    print(f"signed by {key[0]} ({key[1].hex()}) for the book {origin}{known}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Checks one relation's history from Relatieboek, offline.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--key")
    given = parser.parse_args()
    try:
        check(given.directory, given.checkpoint, given.key)
    except InvalidSignature:
        sys.exit("FAILS: the checkpoint's signature is wrong: it was altered, or another signed it")
    except (Fails, KeyError, ValueError, OSError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        sys.exit(f"FAILS: {error}")
