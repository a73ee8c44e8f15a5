#!/usr/bin/env python3
"""Holds format-spec/vectors/ against an implementation of the specification that shares nothing with the program.

    check_vectors.py FOLDER
"""
import json, os, sys

from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import documents
import records
from chunker import cuts, gear_table
from records import Damage, decode, i64, u64

PYTHON_CUTS = 1 << 20      # pure Python cuts so much of the input for each size; the program cuts all of it


def derive(context, *material):
    return blake3(b"".join(material), derive_key_context=context)


def plain(value):
    """A decoded record as JSON writes it: byte strings as lists of numbers."""
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def check_chunking(vectors):
    gear = gear_table(bytes.fromhex(vectors["dedup_root"]))
    assert [f"{word:016x}" for word in gear[:8]] == vectors["gear_first_8"]
    assert [f"{word:016x}" for word in gear[-8:]] == vectors["gear_last_8"]
    data = blake3(vectors["input"]["seed"].encode()).digest(vectors["input"]["length"])
    assert blake3(data).hexdigest() == vectors["input"]["hash"]
    for case in vectors["cuts"]:
        found = cuts(data, 0, len(data), (case["min"], case["average"], case["max"]), gear, PYTHON_CUTS)
        compared = min(len(found), len(case["first_lengths"]))
        assert compared and found[:compared] == case["first_lengths"][:compared], case
        if case["average"] == vectors["default"]["average"]:
            found = cuts(data, 0, len(data), (case["min"], case["average"], case["max"]), gear)
            lengths = b"".join(length.to_bytes(4, "little") for length in found)
            assert blake3(lengths).hexdigest() == case["lengths_hash"], case
    default = tuple(vectors["default"][name] for name in ("min", "average", "max"))
    for case in vectors["edges_of_default_sizes"]:
        assert cuts(data, case["from"], case["length"], default, gear) == case["lengths"], case
    assert cuts(bytes(1 << 20), 0, 1 << 20, default, gear) == vectors["mebibyte_of_zeros"]


def check_keys(vectors):
    material = bytes.fromhex(vectors["material"])
    for case in vectors["derived"]:
        assert derive(case["context"], material).hexdigest() == case["key"], case
    argon = vectors["argon2id"]
    secret = hash_secret_raw(argon["passphrase"].encode(), bytes.fromhex(argon["salt"]), argon["passes"], argon["memory_kib"],
                             argon["lanes"], 32, Type.ID, 0x13)
    assert secret.hex() == argon["secret"]
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(vectors["x25519"]["private"]))
    assert private.public_key().public_bytes_raw().hex() == vectors["x25519"]["public"]
    dedup = bytes.fromhex(vectors["dedup_root"])
    chunk_key, page_key, link_key = (derive(f"duramen 2026-11 v1 {purpose}", dedup).digest() for purpose in ("chunk id", "page cut", "link group"))
    for case in vectors["chunk_ids"]:
        assert blake3(bytes([case["kind"]]) + bytes.fromhex(case["bytes"]), key=chunk_key).hexdigest() == case["id"], case
    for case in vectors["names"]:
        for key, name in ((page_key, "page_cut"), (link_key, "link_group")):
            word = blake3(case["name"].encode(), key=key).digest()[:8]
            assert int.from_bytes(word, "little") == case[name], case


def check_records(vectors, refused):
    for case in vectors["unsigned"]:
        assert decode(u64, bytes.fromhex(case["hex"])) == case["value"], case
    for case in vectors["signed"]:
        assert decode(i64, bytes.fromhex(case["hex"])) == case["value"], case
    for case in vectors["records"]:
        value = decode(getattr(records, case["schema"]), bytes.fromhex(case["hex"]))
        assert plain(value) == case["value"], case
    by_encoding = 0
    for case in refused:
        try:
            decode(getattr(records, case["schema"]), bytes.fromhex(case["hex"]))
        except Damage:
            by_encoding += 1
    assert by_encoding >= 11, f"only {by_encoding} are refused by the encoding itself"


def check_documents(vectors):
    for case in vectors["keys"]:
        assert documents.key(case["type"], bytes.fromhex(case["value"])).hex() == case["key"], case
    page_key = derive("duramen 2026-11 v1 page cut", bytes.fromhex(vectors["dedup_root"])).digest()
    lengths, count = vectors["lengths"], vectors["count"]
    listed = [(b"\x24" + bytes(8) + number.to_bytes(4, "big"), lengths[number % len(lengths)]) for number in range(count)]

    def page_cut(name):
        return int.from_bytes(blake3(name, key=page_key).digest()[:8], "little")
    leaves = documents.leaves(listed, page_cut)
    assert leaves == vectors["leaves"]
    assert documents.pages(leaves, [key for key, _ in listed], page_cut) == vectors["pages"]


def main(folder):
    def load(name):
        with open(os.path.join(folder, name + ".json")) as file:
            return json.load(file)
    check_keys(load("keys"))
    check_records(load("records"), load("refused"))
    check_documents(load("documents"))
    check_chunking(load("chunking"))
    print("all vectors agree")


if __name__ == "__main__":
    main(sys.argv[1])
