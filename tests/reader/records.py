"""The record encoding of format-spec/conventions.md, and the schema of every record of the other chapters.

A schema is a function from a reader to a value. Structs become dicts, enums become {variant: fields} (or the variant's
name where it has no fields), ids and byte strings become bytes.
"""
import struct


class Damage(Exception):
    pass


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Damage("a record that ends too early")
        self.at += count
        return self.data[self.at - count:self.at]


def u8(reader):
    return reader.take(1)[0]


def boolean(reader):
    value = u8(reader)
    if value > 1:
        raise Damage("a bool that is neither")
    return value == 1


def varint(reader):
    first = u8(reader)
    if first < 251:
        return first
    if first > 253:
        raise Damage("an integer that no field has")
    size, least = {251: (2, 251), 252: (4, 1 << 16), 253: (8, 1 << 32)}[first]
    value = int.from_bytes(reader.take(size), "little")
    if value < least:
        raise Damage("an integer that is not in its shortest form")
    return value


def unsigned(bits):
    def read(reader):
        value = varint(reader)
        if value >> bits:
            raise Damage(f"an integer over {bits} bits")
        return value
    return read


u32, u64 = unsigned(32), unsigned(64)


def i64(reader):
    value = u64(reader)
    return value >> 1 if value & 1 == 0 else -(value >> 1) - 1


def bytestring(reader):
    return reader.take(varint(reader))


def string(reader):
    try:
        return bytestring(reader).decode("utf-8")
    except UnicodeDecodeError:
        raise Damage("a string that is not UTF-8") from None


def fixed(count):
    return lambda reader: reader.take(count)


def seq(item):
    def read(reader):
        count = varint(reader)
        if count > len(reader.data) - reader.at:      # every item takes at least a byte
            raise Damage("a sequence longer than its record")
        return [item(reader) for _ in range(count)]
    return read


def opt(item):
    return lambda reader: item(reader) if boolean(reader) else None


def array(item, count):
    return lambda reader: [item(reader) for _ in range(count)]


def record(**fields):
    return lambda reader: {name: field(reader) for name, field in fields.items()}


def enum(*variants):
    """Variants are a name, or (name, schema)."""
    def read(reader):
        number = varint(reader)
        if number >= len(variants):
            raise Damage(f"unknown variant {number}: a newer version wrote it")
        variant = variants[number]
        return variant if isinstance(variant, str) else {variant[0]: variant[1](reader)}
    return read


def decode(schema, data):
    reader = Reader(data)
    value = schema(reader)
    if reader.at != len(data):
        raise Damage("bytes behind a record")
    return value


ID16, ID32 = fixed(16), fixed(32)


def extensions(reader):
    """This reader knows none: critical ones are refused, whatever record they end."""
    found = seq(record(tag=u32, critical=boolean, body=bytestring))(reader)
    tags = [extension["tag"] for extension in found]
    if len(tags) > 64 or tags != sorted(set(tags)):
        raise Damage("extensions out of order or too many")
    for extension in found:
        if extension["critical"]:
            raise Damage(f"unknown critical extension {extension['tag']}: a newer version wrote it")
    return found


EXTENSIONS = extensions
FEATURES = record(read=seq(string), write=seq(string), gc=seq(string))

# keys.md
SLOT_KIND = enum("Passphrase", "KeyFile")
RING = record(generation=u64, dedup_root=ID32, seal_roots=seq(record(epoch=u32, root=ID32)),
              slots=seq(record(id=ID16, kind=SLOT_KIND, public=ID32, created=i64, label=string, host=string, user=string)),
              extensions=EXTENSIONS)

# tree.md
PAGE_REF = record(id=ID32, depth=u8)
PIECE = enum(("Data", record(id=ID32, len=u32)), ("Hole", record(len=u64)), ("Part", record(id=ID32, of=u32, offset=u32, len=u32)))
CONTENT = enum(("Inline", bytestring), ("List", seq(PIECE)), ("Paged", PAGE_REF), ("Recipe", record(root=PAGE_REF, key=ID32)))
DEVICE = record(major=u32, minor=u32)
NODE = enum(("File", record(size=u64, content=CONTENT)),
            ("Directory", record(root=opt(PAGE_REF), entries=u64, files=u64, bytes=u64)),
            ("Symlink", record(target=bytestring)), "Fifo", "Socket", ("CharDevice", DEVICE), ("BlockDevice", DEVICE))
XATTR = record(name=bytestring, value=enum(("Inline", bytestring), ("Chunk", record(id=ID32, len=u32))))
ENTRY = record(name=bytestring, mode=u32, uid=u32, gid=u32, mtime=i64, node=NODE, xattrs=seq(XATTR),
               link=opt(record(group=u64, count=u32)), extensions=EXTENSIONS)
OWNER = record(number=u32, name=bytestring)
TREE_PAGE = enum(("Leaf", record(entries=seq(ENTRY), users=seq(OWNER), groups=seq(OWNER), extensions=EXTENSIONS)),
                 ("Branch", record(children=seq(record(first=bytestring, id=ID32, entries=u64)), extensions=EXTENSIONS)))
HINT = record(inode=u64, device=u64, ctime=i64, below=opt(ID32))
HINT_PAGE = enum(("Leaf", record(page=ID32, hints=seq(HINT))), ("Branch", record(page=ID32, children=seq(ID32))))
LIST_PAGE = enum(("Leaf", seq(PIECE)), ("Branch", seq(record(id=ID32, bytes=u64))))

# documents.md
LEAF_REF = record(first=bytestring, last=bytestring, documents=u32, content=seq(PIECE))
RUN_CHILD = record(first=bytestring, last=bytestring, id=ID32, documents=u64, bytes=u64)
RUN_PAGE = enum(("Leaf", record(leaves=seq(LEAF_REF), extensions=EXTENSIONS)), ("Branch", record(children=seq(RUN_CHILD), extensions=EXTENSIONS)))

SORTED = record(root=PAGE_REF, documents=u64, bytes=u64)
RUN = record(documents=opt(SORTED), deleted=opt(SORTED), extensions=EXTENSIONS)

# deployment.md
POSITION = record(time=u64, proof=ID32)
MOMENT = enum(("At", POSITION), ("Between", record(**{"from": i64, "to": i64})))
DEPLOYMENT = record(set=string, server=string, moment=MOMENT, catalogue=opt(PAGE_REF), collections=u64, documents=u64, bytes=u64,
                    extensions=EXTENSIONS)
COLLECTION = record(namespace=string, kind=enum("Plain", "Capped", "View", "TimeSeries"), uuid=opt(ID16), options=bytestring,
                    indexes=seq(bytestring), documents=opt(u64), runs=seq(RUN), extensions=EXTENSIONS)
CATALOGUE_PAGE = enum(("Leaf", seq(COLLECTION)), ("Branch", seq(record(first=string, id=ID32))))

# snapshot.md
COUNTERS = record(**{name: u64 for name in (
    "files_new files_changed files_unmodified dirs_new dirs_changed dirs_unmodified bytes_processed bytes_read data_chunks "
    "tree_chunks data_added data_added_packed").split()})
SLICE = record(set=string, address=string, server=string, **{"from": POSITION}, to=POSITION,
               scope=record(database=opt(string), include=seq(string), exclude=seq(string), users=boolean), entries=opt(SORTED), extensions=EXTENSIONS)
UNDO = record(address=string, source=ID16, at=opt(i64), merged=boolean,
              collections=seq(record(source=string, target=string, created=boolean, before=RUN)), extensions=EXTENSIONS)
SOURCE = enum(("Files", record(root=ENTRY, owner=array(bytestring, 2), hints=opt(ID32))), ("Mongo", DEPLOYMENT), ("Oplog", SLICE), ("Undo", UNDO))
SNAPSHOT = record(
    id=ID16, repository=ID32, features=FEATURES, time=i64, started=i64, finished=i64, kind=enum("Full", "Incremental", "Differential"), parent=opt(ID16),
    host=string, user=string, tags=seq(string), paths=seq(bytestring), excludes=seq(string), sources=seq(SOURCE),
    state=enum("Complete", "Partial"), problems=seq(record(path=bytestring, what=string)), problem_count=u64, counters=COUNTERS,
    program=string, git=opt(record(commit=string, branch=opt(string))), seen=ID32, extensions=EXTENSIONS)
FATE = enum(("Committed", SNAPSHOT), ("Void", record(session=ID16, at=i64)))
CONFIG = record(repository=ID32, features=FEATURES, created=i64, chunking=record(min=u32, average=u32, max=u32), extensions=EXTENSIONS)

# session.md, annotation.md
SESSION = record(id=ID16, number=u32, purpose=enum("Write", "Prune"), host=string, user=string, process=u32, started=i64, renewed=i64,
                 tombstones=seq(ID16), forgotten=seq(ID16), program=string, extensions=EXTENSIONS)
TOMBSTONE = record(id=ID16, session=ID16, at=i64, packs=seq(ID32), extensions=EXTENSIONS)
FACT = enum(("TagAdded", string), ("TagRemoved", string), ("Held", string), "Released", ("Note", string),
            ("Verified", record(whole=boolean)), ("Forgotten", record(end=ID16)), "Undone", "Final")
ANNOTATION = record(id=ID16, snapshot=ID16, at=i64, host=string, user=string, fact=FACT, extensions=EXTENSIONS)
