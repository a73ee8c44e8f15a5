"""Keys of documents and the cuts of leaves, written from format-spec/documents.md alone."""
import struct

GROUPS = {0xFF: 0x00, 0x06: 0x01, 0x0A: 0x06, 0x13: 0x0C, 0x03: 0x15, 0x04: 0x1A, 0x07: 0x24, 0x08: 0x29, 0x0B: 0x33, 0x0C: 0x38, 0x0D: 0x3D,
          0x0F: 0x42, 0x7F: 0x80}
TOP = 1 << 63


def number(kind, value):
    if kind == 0x01:
        exact = double = struct.unpack("<d", value)[0]
    else:
        exact = int.from_bytes(value, "little", signed=True)
        double = float(exact)
    if double != double:
        return bytes(8) + (1 << 15).to_bytes(2, "big")
    bits = 0 if double == 0 else struct.unpack("<Q", struct.pack("<d", double))[0]
    bits = bits ^ (TOP * 2 - 1) if bits & TOP else bits | TOP
    above = 0 if kind == 0x01 else exact - int(double)
    return bits.to_bytes(8, "big") + ((1 << 15) + above).to_bytes(2, "big")


def key(kind, value):
    if kind in (0x01, 0x10, 0x12):
        return b"\x0b" + number(kind, value) + bytes([kind]) + value
    if kind in (0x02, 0x0E):
        return bytes([0x10 if kind == 0x02 else 0x11]) + value[4:-1]
    if kind == 0x05:
        return b"\x1f" + value[3::-1] + value[4:]
    if kind == 0x09:
        return b"\x2e" + (int.from_bytes(value, "little") ^ TOP).to_bytes(8, "big")
    if kind == 0x11:
        return b"\x30" + value[::-1]
    return bytes([GROUPS[kind]]) + value


def leaves(documents, page_cut):
    """Numbers of documents a leaf, of `documents` = [(key, length)]."""
    found, count, size = [], 0, 0
    for of, length in documents:
        if count and size + length > 64 << 10:
            found.append(count)
            count = size = 0
        count, size = count + 1, size + length
        high = page_cut(b"\x00" + of) >> 32
        if size >= 32 << 10 or (size >= 2 << 10 and high * 8192 < length << 32):
            found.append(count)
            count = size = 0
    return found + [count] * (count > 0)


def pages(leaves, keys, page_cut):
    """Numbers of leaves a page. No keys of these are long, so no page comes to 512 KiB first."""
    found, count, end = [], 0, 0
    for leaf in leaves:
        count, end = count + 1, end + leaf
        if count >= 2048 or (count >= 64 and page_cut(b"\x00" + keys[end - 1]) & 0xFF == 0):
            found.append(count)
            count = 0
    return found + [count] * (count > 0)
