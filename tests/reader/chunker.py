"""Where files are cut: format-spec/chunking.md, as slow as it is plain."""
from blake3 import blake3

MASK64 = (1 << 64) - 1
MASKS = {  # average size in bits: strict, loose (chunking.md)
    12: (0x0000D90F03530000, 0x0000019000353000), 13: (0x0000D90303537000, 0x0000590003530000),
    14: (0x0000D90703537000, 0x0000D90003530000), 15: (0x0000D90707537000, 0x0000D90103530000),
    16: (0x0000D91707537000, 0x0000D90303530000), 17: (0x0000D91747537000, 0x0000D90313530000),
    18: (0x0000D91767537000, 0x0000D90F03530000), 19: (0x0000D93767537000, 0x0000D90303537000),
    20: (0x0000D93777537000, 0x0000D90703537000)}


def gear_table(dedup_root):
    xof = blake3(dedup_root, derive_key_context="duramen 2026-11 v1 chunk cut").digest(2048)
    return [int.from_bytes(xof[at:at + 8], "little") for at in range(0, 2048, 8)]


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
