"""Deployments: the catalogue, and what runs of documents come to together; written from format-spec/deployment.md and documents.md alone."""
import heapq

import blake3

import documents
from records import CATALOGUE_PAGE, RUN_PAGE, Damage, decode

FIXED = {0x06: 0, 0x0A: 0, 0xFF: 0, 0x7F: 0, 0x08: 1, 0x10: 4, 0x01: 8, 0x09: 8, 0x11: 8, 0x12: 8, 0x07: 12, 0x13: 16}


def must(condition, message):
    if not condition:
        raise Damage(message)


def value_size(kind, data, at):
    if kind in FIXED:
        return FIXED[kind]
    length = int.from_bytes(data[at:at + 4], "little")
    if kind in (0x02, 0x0D, 0x0E):
        return 4 + length
    if kind == 0x05:
        return 5 + length
    if kind in (0x03, 0x04, 0x0F):
        return length
    if kind == 0x0C:
        return 4 + length + 12
    must(kind == 0x0B, "an element of no type")
    pattern = data.index(0, at)
    return data.index(0, pattern + 1) + 1 - at


def elements(document):
    """(type, name, value) of the top level."""
    at = 4
    while document[at]:
        kind, end = document[at], document.index(0, at + 1)
        start = end + 1
        size = value_size(kind, document, start)
        yield kind, document[at + 1:end], document[start:start + size]
        at = start + size


def key(document):
    for kind, name, value in elements(document):
        if name == b"_id":
            return documents.key(kind, value)
    raise Damage("a document without an _id")


def split(leaf):
    at = 0
    while at < len(leaf):
        size = int.from_bytes(leaf[at:at + 4], "little")
        must(5 <= size <= len(leaf) - at and leaf[at + size - 1] == 0, "a leaf that is no documents")
        yield leaf[at:at + size]
        at += size


def pages(repository, schema, kind, ref):
    """The leaf pages below a page, in order."""
    page = decode(schema, repository.chunk(kind, ref["id"]))
    must(("Leaf" in page) == (ref["depth"] == 0), "a page at a depth where it cannot be")
    if "Leaf" in page:
        yield page["Leaf"]
        return
    children = page["Branch"] if isinstance(page["Branch"], list) else page["Branch"]["children"]
    for child in children:
        yield from pages(repository, schema, kind, {"id": child["id"], "depth": ref["depth"] - 1})


def collections(repository, deployment):
    last, count = "", 0
    if deployment["catalogue"]:
        for leaf in pages(repository, CATALOGUE_PAGE, 7, deployment["catalogue"]):
            for collection in leaf:
                must(last < collection["namespace"], "a catalogue out of order")
                last, count = collection["namespace"], count + 1
                yield collection
    must(count == deployment["collections"], "a catalogue of another size")


def stored(repository, sorted_, rank):
    """(key, rank, document) of a run, or of its deletions."""
    if sorted_ is None:
        return
    last, count, size = b"", 0, 0
    for page in pages(repository, RUN_PAGE, 6, sorted_["root"]):
        for leaf in page["leaves"]:
            data = b"".join(repository.chunk(1, piece["Data"]["id"]) for piece in leaf["content"])
            found = [(key(document), rank, document) for document in split(data)]
            must(len(found) == leaf["documents"] and leaf["first"] == found[0][0][:64] and leaf["last"] == found[-1][0][:64],
                 "a leaf that is not what its page says")
            for each in found:
                must(last < each[0], "documents out of order")
                last = each[0]
                yield each
            count, size = count + len(found), size + len(data)
    must((count, size) == (sorted_["documents"], sorted_["bytes"]), "a run of another size")


def content(repository, collection):
    """The documents of a collection, in the order in which they are stored; those of a capped one in that of insertion."""
    streams = []
    for number, run in enumerate(collection["runs"]):
        streams.append(stored(repository, run["documents"], (number, 0)))
        streams.append(stored(repository, run["deleted"], (number, 1)))
    last = None
    for own, (_, deleted), document in heapq.merge(*streams):
        if own == last:
            continue
        last = own
        if deleted:
            continue
        if collection["kind"] == "Capped":
            (kind, _, _), (_, name, document) = elements(document)
            must(kind == 0x12 and name == b"d", "a document of a capped collection without its place")
        yield document


def check_slice(repository, slice_):
    """Entries of an oplog, each under its own time, and the last one the entry that the slice says it ends with."""
    for _, _, document in stored(repository, slice_["entries"], 0):
        (kind, id_, time), (inner, name, entry) = elements(document)
        must((kind, id_) == (0x11, b"_id"), "a slice that holds no entry")
        if (inner, name) == (0x05, b"h"):
            must(entry[:5] == b"\x20\0\0\0\0" and len(entry) == 37, "a proof of another length")
            if int.from_bytes(time, "little") == slice_["to"]["time"]:
                must(entry[5:] == slice_["to"]["proof"], "a slice that ends with another entry")
            continue
        must((inner, name) == (0x03, b"e"), "a slice that holds no entry")
        own = [value for _, field, value in elements(entry) if field == b"ts"]
        must(own == [time], "an entry under another time than its own")
        must(int.from_bytes(time, "little") <= slice_["to"]["time"], "an entry behind the end of its slice")
        if int.from_bytes(time, "little") == slice_["to"]["time"]:
            must(blake3.blake3(entry).digest() == slice_["to"]["proof"], "a slice that ends with another entry")
