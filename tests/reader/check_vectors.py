#!/usr/bin/env python3
"""Holds format-spec/vectors/ against an implementation of the specification that shares nothing with the program.

    check_vectors.py FOLDER
"""
import json, os, sys

from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import records
from records import Damage, decode, i64, u64

MASK64 = (1 << 64) - 1
MASKS = {  # average size in bits: strict, loose (chunking.md)
    12: (0x0000D90F03530000, 0x0000019000353000), 13: (0x0000D90303537000, 0x0000590003530000),
    14: (0x0000D90703537000, 0x0000D90003530000), 15: (0x0000D90707537000, 0x0000D90103530000),
    16: (0x0000D91707537000, 0x0000D90303530000), 17: (0x0000D91747537000, 0x0000D90313530000),
    18: (0x0000D91767537000, 0x0000D90F03530000), 19: (0x0000D93767537000, 0x0000D90303537000),
    20: (0x0000D93777537000, 0x0000D90703537000)}
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


def cut(data, at, left, sizes, gear):
    least, average, most = sizes
    n = left
    if n <= least:
        return n
    center = average
    if n > most:
        n = most
    elif n < center:
        center = n
    strict, loose = MASKS[average.bit_length() - 1]
    hash_ = 0
    for first in range(least, n // 2 * 2, 2):
        mask = strict if first // 2 < center // 2 else loose
        hash_ = ((hash_ << 2) + (gear[data[at + first]] << 1)) & MASK64
        if hash_ & (mask << 1) & MASK64 == 0:
            return first
        hash_ = (hash_ + gear[data[at + first + 1]]) & MASK64
        if hash_ & mask == 0:
            return first + 1
    return n


def cuts(data, start, length, sizes, gear, most=1 << 62):
    found, at = [], start
    while at < start + length and at - start < most:
        found.append(cut(data, at, start + length - at, sizes, gear))
        at += found[-1]
    return found


def check_chunking(vectors):
    xof = derive("duramen 2026-11 v1 chunk cut", bytes.fromhex(vectors["dedup_root"])).digest(2048)
    gear = [int.from_bytes(xof[at:at + 8], "little") for at in range(0, 2048, 8)]
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


def main(folder):
    def load(name):
        with open(os.path.join(folder, name + ".json")) as file:
            return json.load(file)
    check_keys(load("keys"))
    check_records(load("records"), load("refused"))
    check_chunking(load("chunking"))
    print("all vectors agree")


if __name__ == "__main__":
    main(sys.argv[1])
