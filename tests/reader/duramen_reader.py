#!/usr/bin/env python3
"""A second reader of Duramen repositories, written from format-spec/ alone. For tests: it proves that the specification
is enough to read what the program wrote. It checks what the specification says a reader must check, and is slow.

    duramen_reader.py REPOSITORY (--key-file FILE | --passphrase TEXT) list
    duramen_reader.py REPOSITORY (...) ls SNAPSHOT              one JSON object a line
    duramen_reader.py REPOSITORY (...) extract SNAPSHOT DIR
    duramen_reader.py REPOSITORY (...) documents SNAPSHOT DIR   a file of raw BSON for each collection
    duramen_reader.py REPOSITORY (...) verify                   every file, every snapshot, every chunk
"""
import argparse, hashlib, json, os, re, stat, struct, sys

import zstandard
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

import deployment
from chunker import cuts, gear_table
from records import ANNOTATION, CONFIG, EXTENSIONS, FATE, HINT_PAGE, LIST_PAGE, RING, SESSION, TOMBSTONE, TREE_PAGE, Damage, decode

MIB = 1 << 20
KINDS = {1: ("data", 1), 2: ("tree", 2), 3: ("hint", 2), 4: ("list", 2), 5: ("xattr", 1), 6: ("run", 2),
         7: ("catalogue", 2)}  # number: name, class
LETTERS = {"config": b"C", "keys": b"K", "keyring": b"R", "packs": b"P", "index": b"I", "snapshots": b"S", "sessions": b"W",
           "tombstones": b"T", "annotations": b"A"}
NAMES = re.compile(r"config|keys/[0-9a-f]{32}|keyring/[0-9]{10}|packs/([0-9a-f]{2})/\1[0-9a-f]{62}|index/[0-9a-f]{64}|"
                   r"snapshots/[0-9a-f]{32}|sessions/[0-9a-f]{32}\.[0-9]{10}|tombstones/[0-9a-f]{32}|"
                   r"annotations/[0-9a-f]{32}/[0-9a-f]{32}")


def must(condition, message):
    if not condition:
        raise Damage(message)


def derive(purpose, *material):
    return blake3(b"".join(material), derive_key_context="duramen 2026-11 v1 " + purpose).digest()


def open_seal(key, nonce, aad, sealed):
    try:
        return AESGCMSIV(key).decrypt(nonce, sealed, aad)
    except Exception:
        raise Damage("the seal is broken") from None


def unpack_zstd(payload, size):
    must(zstandard.frame_content_size(payload) == size, "a zstd frame of another size")
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    raw = unpacker.decompress(payload)
    must(unpacker.eof and not unpacker.unused_data and len(raw) == size, "a zstd frame that does not end where it should")
    return raw


class Repository:
    def __init__(self, folder, passphrase=None, key_file=None):
        self.folder = folder
        self.id, self.ring = None, None
        self.open_keys(passphrase, key_file)
        self.roots = {root["epoch"]: root["root"] for root in self.ring["seal_roots"]}
        self.config = self.record("config", "config", CONFIG)
        must(self.config["repository"] == self.id, "a config of another repository")
        must(not self.config["features"]["read"], f"needs features {self.config['features']['read']}")
        self.chunk_key = derive("chunk id", self.ring["dedup_root"])
        self.cut_key = derive("page cut", self.ring["dedup_root"])
        self.gear = gear_table(self.ring["dedup_root"])
        self.fates = {}
        for name in self.names("snapshots"):                       # snapshots before segments: layout.md
            self.fates[name.split("/")[1]] = self.record(name, "snapshot", FATE)
        self.packs, self.places = {}, {}
        for name in self.names("index"):
            self.load_segment(name)
        self.frames = {}

    # ---- files ----
    def names(self, kind):
        found = []
        for folder, _, files in os.walk(os.path.join(self.folder, kind)):
            found += [os.path.relpath(os.path.join(folder, file), self.folder) for file in files]
        return sorted(name for name in found if NAMES.fullmatch(name))

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            data = file.read()
        must(len(data) >= 42, f"{name}: too short")
        must(data[:8] == b"\x89DU" + LETTERS[name.split("/")[0]] + b"\r\n\x1a\n", f"{name}: wrong magic")
        must(data[8:10] == b"\1\0", f"{name}: unknown version")
        must(blake3(data[:-32]).digest() == data[-32:], f"{name}: hash differs")
        return data

    def sealed(self, name, purpose, bound=True):
        data = self.read(name)
        zero, length, repository, epoch, nonce = struct.unpack("<HI32sI12s", data[10:64])
        must(zero == 0 and length == len(data) - 96, f"{name}: wrong header")
        must(repository == self.id, f"{name}: belongs to another repository")
        must(epoch in self.roots, f"{name}: unknown epoch")
        return open_seal(derive(purpose, self.roots[epoch]), nonce, data[:64] + (name.encode() if bound else b""), data[64:-32])

    def record(self, name, purpose, schema):
        return decode(schema, self.sealed(name, purpose))

    # ---- keys ----
    def open_keys(self, passphrase, key_file):
        for name in self.names("keys"):
            data = self.read(name)
            must(len(data) == 280, f"{name}: wrong length")
            kind, kdf, memory, passes, lanes = struct.unpack("<BBIII", data[10:24])
            repository, salt, check, public, nonce = data[24:56], data[56:88], data[88:120], data[120:152], data[152:164]
            must(struct.unpack("<I", data[164:168])[0] == 80 and (kind, kdf) in ((1, 1), (2, 0)), f"{name}: unknown slot")
            if kind == 1 and passphrase is not None:
                must(19 << 10 <= memory <= 1 << 20 and 2 <= passes <= 64 and 1 <= lanes <= 16, f"{name}: cost out of bounds")
                secret = hash_secret_raw(passphrase.encode(), salt, passes, memory, lanes, 32, Type.ID, 0x13)
            elif kind == 2 and key_file is not None:
                must((memory, passes, lanes) == (0, 0, 0), f"{name}: a key file with a cost")
                word, key, checksum = open(key_file).read().split()
                secret = bytes.fromhex(key)
                must(word == "duramen-key-1" and blake3(secret).hexdigest()[:8] == checksum, "a damaged key file")
            else:
                continue
            slot_key = derive("slot key", secret, salt, repository)
            if derive("slot check", slot_key) != check:
                continue
            plain = open_seal(slot_key, nonce, data[:168] + name.encode(), data[168:248])
            private, self.id = X25519PrivateKey.from_private_bytes(plain[:32]), repository
            must(private.public_key().public_bytes_raw() == public, f"{name}: the public key is not its own")
            return self.open_ring(bytes.fromhex(name[5:]), private, public, plain[32:])
        raise SystemExit("no key slot opens")

    def open_ring(self, slot, private, public, authentication):
        name = self.names("keyring")[-1]
        data = self.read(name)
        zero, count, repository, generation, length, zero2 = struct.unpack("<HI32sQI4s", data[10:64])
        must(zero == 0 and zero2 == bytes(4) and 1 <= count <= 1024, f"{name}: wrong header")
        must(repository == self.id and name == f"keyring/{generation:010}" and generation, f"{name}: not what its name says")
        end = 64 + 96 * count + length
        must(len(data) == end + 64, f"{name}: wrong length")
        mac = blake3(data[:end], key=derive("ring mac", authentication)).digest()
        must(mac == data[end:end + 32], f"{name}: not made by a slot holder")      # before anything is unwrapped
        wraps = {data[at:at + 16]: data[at + 16:at + 96] for at in range(64, 64 + 96 * count, 96)}
        must(slot in wraps, "this key slot has been removed")
        fresh, sealed = wraps[slot][:32], wraps[slot][32:]
        shared = private.exchange(X25519PublicKey.from_public_bytes(fresh))
        about = self.id + struct.pack("<Q", generation) + slot
        ring_key = open_seal(derive("ring wrap", shared, fresh, public, about), bytes(12), b"", sealed)
        body = data[64 + 96 * count:end]
        self.ring = decode(RING, open_seal(derive("ring body", ring_key), body[:12], data[:64], body[12:]))
        must(self.ring["generation"] == generation, f"{name}: another generation inside")
        must([entry["id"] for entry in self.ring["slots"]] == list(wraps), f"{name}: slots and wraps differ")
        epochs = [root["epoch"] for root in self.ring["seal_roots"]]
        must(epochs == sorted(set(epochs)) and epochs and epochs[0] >= 1, f"{name}: epochs out of order")

    # ---- index and packs ----
    @staticmethod
    def frame_info(data):
        offset, stored, raw, epoch, kind, codec, zero = struct.unpack("<IIIIBBH", data)
        must(kind in KINDS and codec in (0, 1) and zero == 0, "an unknown frame")
        must(1 <= raw <= 4 * MIB and 29 <= stored and offset >= 64, "an impossible frame")
        must(stored < raw + 28 if codec else stored == raw + 28, "a frame whose codec does not fit")
        must(offset + stored <= 64 * MIB, "a frame outside of any pack")
        return {"offset": offset, "stored": stored, "raw": raw, "epoch": epoch, "kind": kind, "codec": codec}

    def load_segment(self, name):
        data = self.read(name)
        must(data[-32:].hex() == name.split("/")[1], f"{name}: not named by its hash")
        plain = self.sealed(name, "segment", bound=False)
        length = struct.unpack("<I", plain[:4])[0]
        must(length <= 96 * MIB, f"{name}: too long")
        body = unpack_zstd(plain[4:], length)
        packs, frames, chunks, extensions = struct.unpack("<IIII", body[:16])
        must(16 + packs * 48 + frames * 24 + chunks * 44 + extensions == length, f"{name}: counts do not fit")
        at, packs_here, frames_here, last = 16, [], [], b""
        for _ in range(packs):
            pack, size, class_, zero = struct.unpack("<32sQB7s", body[at:at + 48])
            must(class_ in (1, 2) and zero == bytes(7), f"{name}: a wrong pack")
            packs_here.append((pack.hex(), size, class_))
            self.packs[pack.hex()] = (size, class_)
            at += 48
        for _ in range(frames):
            pack, frame = packs_here[struct.unpack("<I", body[at:at + 4])[0]], self.frame_info(body[at + 4:at + 24])
            must(KINDS[frame["kind"]][1] == pack[2] and frame["offset"] + frame["stored"] <= pack[1] - 48, f"{name}: a wrong frame")
            frames_here.append((pack[0], frame))
            at += 24
        for _ in range(chunks):
            chunk, number, offset, size = struct.unpack("<32sIII", body[at:at + 44])
            pack, frame = frames_here[number]
            must(1 <= size <= MIB and offset + size <= frame["raw"] and last <= chunk, f"{name}: a wrong chunk")
            self.places.setdefault(chunk, []).append((pack, frame, offset, size))
            last, at = chunk, at + 44
        decode(EXTENSIONS, body[at:])

    def pack_path(self, pack):
        return os.path.join(self.folder, "packs", pack[:2], pack)

    def open_frame(self, message, frame):
        purpose = "data frame" if KINDS[frame["kind"]][1] == 1 else "metadata frame"
        aad = self.id + struct.pack("<BBII", frame["kind"], frame["codec"], frame["raw"], frame["epoch"])
        payload = open_seal(derive(purpose, self.roots[frame["epoch"]]), message[:12], aad, message[12:])
        raw = unpack_zstd(payload, frame["raw"]) if frame["codec"] else payload
        must(len(raw) == frame["raw"], "a frame of another length")
        return raw

    def chunk(self, kind, id_):
        for pack, frame, offset, size in self.places.get(id_, []):
            if frame["kind"] != kind or not os.path.exists(self.pack_path(pack)):
                continue
            if (pack, frame["offset"]) not in self.frames:
                with open(self.pack_path(pack), "rb") as file:
                    file.seek(frame["offset"])
                    self.frames[pack, frame["offset"]] = self.open_frame(file.read(frame["stored"]), frame)
            data = self.frames[pack, frame["offset"]][offset:offset + size]
            must(self.chunk_id(kind, data) == id_, f"chunk {id_.hex()}: its bytes have another id")
            return data
        raise Damage(f"chunk {id_.hex()} is nowhere")

    def chunk_id(self, kind, data):
        return blake3(bytes([kind]) + data, key=self.chunk_key).digest()

    def check_pack(self, name):
        data = self.read(name)
        must(data[-32:].hex() == name.split("/")[2], f"{name}: not named by its hash")
        class_, flags, zero, repository = struct.unpack("<BBI32s", data[10:48])
        must(class_ in (1, 2) and flags == zero == 0 and repository == self.id, f"{name}: wrong header")
        length, epoch, zero = struct.unpack("<II8s", data[-48:-32])
        must(zero == bytes(8) and 28 <= length <= 16 * MIB, f"{name}: wrong footer")
        start = len(data) - 48 - length
        message = data[start:-48]
        plain = open_seal(derive("pack directory", self.roots[epoch]), message[:12], data[:64] + data[-48:-32], message[12:])
        frames, chunks, extensions, zero = struct.unpack("<IIII", plain[:16])
        must(zero == 0 and 16 + frames * 24 + chunks * 36 + extensions == len(plain), f"{name}: counts do not fit")
        at, next_ = 16 + frames * 24, 64
        for number in range(frames):
            head = plain[16 + number * 24:40 + number * 24]
            frame, count = self.frame_info(head[:20]), struct.unpack("<I", head[20:])[0]
            must(frame["offset"] == next_ and KINDS[frame["kind"]][1] == class_, f"{name}: frames out of place")
            raw, offset = self.open_frame(data[next_:next_ + frame["stored"]], frame), 0
            for _ in range(count):
                id_, size = plain[at:at + 32], struct.unpack("<I", plain[at + 32:at + 36])[0]
                must(self.chunk_id(frame["kind"], raw[offset:offset + size]) == id_, f"{name}: a chunk with another id")
                at, offset = at + 36, offset + size
            must(offset == len(raw), f"{name}: bytes that no chunk has")
            next_ += frame["stored"]
        must(next_ == start, f"{name}: does not end where it should")
        decode(EXTENSIONS, plain[at:])
        return chunks

    # ---- trees ----
    def leaves(self, root):
        """Tree pages of a directory without its branches, in order; branches are held against their children."""
        def below(id_, depth):
            page = decode(TREE_PAGE, self.chunk(2, id_))
            if depth == 0:
                must("Leaf" in page and page["Leaf"]["entries"], "a page at the wrong depth")
                yield page["Leaf"]
                return
            must("Branch" in page and page["Branch"]["children"], "a page at the wrong depth")
            for child in page["Branch"]["children"]:
                leaves = list(below(child["id"], depth - 1))
                must(leaves[0]["entries"][0]["name"] == child["first"], "a child that begins elsewhere")
                must(sum(len(leaf["entries"]) for leaf in leaves) == child["entries"], "a child of another size")
                yield from leaves
        return below(root["id"], root["depth"]) if root else iter(())

    def walk(self, directory, path):
        """(path, entry, user, group) of everything below, depth first in order of names."""
        last, count = b"", 0
        for leaf in self.leaves(directory["root"]):
            users, groups = ({owner["number"]: owner["name"] for owner in leaf[key]} for key in ("users", "groups"))
            for entry in leaf["entries"]:
                name = entry["name"]
                must(last < name and len(name) <= 255 and name not in (b".", b"..") and not set(name) & {0, 47}, f"name {name!r}")
                last, count, here = name, count + 1, os.path.join(path, name)
                yield here, entry, users.get(entry["uid"]), groups.get(entry["gid"])
                if "Directory" in entry["node"]:
                    yield from self.walk(entry["node"]["Directory"], here)
        must(count == directory["entries"], f"{path!r}: another number of entries")

    def pieces(self, content):
        def below(id_, depth):
            page = decode(LIST_PAGE, self.chunk(4, id_))
            if depth == 0:
                yield from page["Leaf"]
                return
            for child in page["Branch"]:
                pieces = list(below(child["id"], depth - 1))
                must(sum(next(iter(piece.values()))["len"] for piece in pieces) == child["bytes"], "a list page of another size")
                yield from pieces
        if "List" in content:
            return iter(content["List"])
        top = content["Recipe"]["root"] if "Recipe" in content else content["Paged"]
        return below(top["id"], top["depth"])

    def runs(self, file):
        """Bytes, or the length of a hole, in order."""
        total, hole = 0, False
        if "Inline" in file["content"]:
            total = len(file["content"]["Inline"])
            yield file["content"]["Inline"]
        else:
            for piece in self.pieces(file["content"]):
                if "Hole" in piece:
                    must(piece["Hole"]["len"] and not hole, "two holes in a row")
                    run, length = piece["Hole"]["len"], piece["Hole"]["len"]
                elif "Part" in piece:
                    part = piece["Part"]
                    must("Recipe" in file["content"], "a part outside of a recipe")
                    must(0 < part["len"] < part["of"] and part["offset"] + part["len"] <= part["of"], "a part beyond its chunk")
                    whole, length = self.chunk(1, part["id"]), part["len"]
                    must(len(whole) == part["of"], "a part of a chunk of another length")
                    run = whole[part["offset"]:part["offset"] + length]
                else:
                    run, length = self.chunk(1, piece["Data"]["id"]), piece["Data"]["len"]
                    must(len(run) == length, "a piece of another length")
                total, hole = total + length, "Hole" in piece
                yield run
        must(total == file["size"], "pieces that do not add up")

    def xattrs(self, entry):
        for attribute in entry["xattrs"]:
            value = attribute["value"]
            yield attribute["name"], value["Inline"] if "Inline" in value else self.chunk(5, value["Chunk"]["id"])

    def check_hints(self, directory, below):
        """Hints beside a directory: the shape of the tree, and what they say they are about."""
        def pair(tree, hint, depth):
            page, hints = decode(TREE_PAGE, self.chunk(2, tree)), decode(HINT_PAGE, self.chunk(3, hint))
            if depth:
                must(hints["Branch"]["page"] == tree and len(hints["Branch"]["children"]) == len(page["Branch"]["children"]), "hints")
                for child, beside in zip(page["Branch"]["children"], hints["Branch"]["children"]):
                    pair(child["id"], beside, depth - 1)
                return
            must(hints["Leaf"]["page"] == tree and len(hints["Leaf"]["hints"]) == len(page["Leaf"]["entries"]), "hints")
            for entry, beside in zip(page["Leaf"]["entries"], hints["Leaf"]["hints"]):
                if beside["below"] is not None:
                    self.check_hints(entry["node"]["Directory"], beside["below"])
        if below is not None and directory["root"]:
            pair(directory["root"]["id"], below, directory["root"]["depth"])

    def cuts(self, directory):
        """Leaves end where tree.md says."""
        leaves = list(self.leaves(directory["root"]))
        for number, leaf in enumerate(leaves):
            ends = [blake3(entry["name"], key=self.cut_key).digest()[0] == 0 for entry in leaf["entries"]]
            must(not any(ends[63:-1]), "a leaf that should have ended before")
            must(number == len(leaves) - 1 or (len(ends) >= 64 and ends[-1]) or len(ends) == 2048 or len(str(leaf)) > 512 << 10, "a leaf that should not end here")

    def check_chunks(self, file, most=1 << 20):
        """Content of up to `most` bytes is cut where chunking.md says; of a recipe, its key is that of these cuts."""
        sizes = tuple(self.config["chunking"][name] for name in ("min", "average", "max"))
        if "Recipe" in file["content"] and file["size"] <= most:
            data, at, key = b"".join(self.runs(file)), 0, b"l"
            for length in cuts(data, 0, len(data), sizes, self.gear):
                key += b"d" + blake3(b"\x01" + data[at:at + length], key=self.chunk_key).digest()
                at += length
            must(key.count(b"d") and blake3(key).digest() == file["content"]["Recipe"]["key"], "a recipe of another key")
            return 1
        if "List" not in file["content"] or file["size"] > most:
            return 0
        extents = [[]]
        for piece in file["content"]["List"]:
            extents[-1].append(piece["Data"]) if "Data" in piece else extents.append([])
        for extent in extents:
            data = b"".join(self.chunk(1, piece["id"]) for piece in extent)
            must(cuts(data, 0, len(data), sizes, self.gear) == [piece["len"] for piece in extent], "a file that is cut elsewhere")
        return 1

    def find(self, prefix):
        found = [id_ for id_, fate in self.fates.items() if id_.startswith(prefix) and "Committed" in fate]
        must(len(found) == 1, f"{prefix}: {len(found)} snapshots")
        snapshot = self.fates[found[0]]["Committed"]
        must(snapshot["id"].hex() == found[0] and snapshot["repository"] == self.id, "a snapshot that is not what its name says")
        must(set(snapshot["features"]["read"]) <= {"recipes"}, f"needs features {snapshot['features']['read']}")
        return snapshot

    def tree(self, snapshot):
        for source in snapshot["sources"]:
            if "Files" not in source:
                continue
            root, (user, group) = source["Files"]["root"], source["Files"]["owner"]
            must(root["name"] == b"/" and "Directory" in root["node"], "a root that is no directory")
            yield b"/", root, user or None, group or None
            yield from self.walk(root["node"]["Directory"], b"/")


def text(name):
    return None if name is None else name.decode("utf-8", "surrogateescape")


def describe(repository, path, entry, user, group):
    kind, node = next(iter(entry["node"].items())) if isinstance(entry["node"], dict) else (entry["node"], {})
    line = {"path": text(path), "type": kind, "mode": entry["mode"], "uid": entry["uid"], "gid": entry["gid"], "user": text(user),
            "group": text(group), "mtime": entry["mtime"]}
    if kind == "File":
        digest, at, holes = hashlib.sha256(), 0, []
        for run in repository.runs(node):
            if isinstance(run, int):
                holes.append([at, run])
                for _ in range(0, run, MIB):
                    digest.update(bytes(min(MIB, run)))
                    run -= min(MIB, run)
                at += holes[-1][1]
            else:
                digest.update(run)
                at += len(run)
        line |= {"size": node["size"], "sha256": digest.hexdigest(), "holes": holes}
    elif kind == "Symlink":
        line["target"] = text(node["target"])
    elif kind in ("CharDevice", "BlockDevice"):
        line["device"] = [node["major"], node["minor"]]
    if entry["xattrs"]:
        line["xattrs"] = {text(name): value.hex() for name, value in repository.xattrs(entry)}
    if entry["link"]:
        line["links"] = entry["link"]["count"]
    return line


def extract(repository, snapshot, target):
    groups, directories, base = {}, [], os.fsencode(target)
    for path, entry, _, _ in repository.tree(snapshot):
        here, node = base + (b"" if path == b"/" else path), entry["node"]
        kind, node = next(iter(node.items())) if isinstance(node, dict) else (node, {})
        group = entry["link"]["group"] if entry["link"] else None
        if group in groups and group is not None:
            os.link(groups[group], here, follow_symlinks=False)
            continue
        groups[group] = here
        if kind == "Directory":
            os.makedirs(here, exist_ok=True)
            directories.append((here, entry))
            continue
        if kind == "File":
            with open(here, "xb") as file:
                for run in repository.runs(node):
                    file.seek(run, 1) if isinstance(run, int) else file.write(run)
                file.truncate(node["size"])
        elif kind == "Symlink":
            os.symlink(node["target"], here)
        elif kind == "Fifo":
            os.mkfifo(here)
        elif kind == "Socket":
            os.mknod(here, stat.S_IFSOCK | 0o600)
        else:
            os.mknod(here, (stat.S_IFCHR if kind == "CharDevice" else stat.S_IFBLK) | 0o600, os.makedev(node["major"], node["minor"]))
        attributes(repository, here, entry)
    for here, entry in reversed(directories):
        attributes(repository, here, entry)


def extract_documents(repository, snapshot, target):
    """A file of raw documents for each collection."""
    for source in snapshot["sources"]:
        for collection in deployment.collections(repository, source["Mongo"]) if "Mongo" in source else ():
            with open(os.path.join(target, collection["namespace"] + ".bson"), "xb") as file:
                for document in deployment.content(repository, collection):
                    file.write(document)


def attributes(repository, here, entry):
    link = "Symlink" in entry["node"]
    if os.geteuid() == 0:
        os.lchown(here, entry["uid"], entry["gid"])
    if not link:
        os.chmod(here, entry["mode"])
    for name, value in repository.xattrs(entry):
        os.setxattr(here, name, value, follow_symlinks=False)
    os.utime(here, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=False)


def verify(repository):
    chunks = sum(repository.check_pack(name) for name in repository.names("packs"))
    for folder, purpose, schema in (("sessions", "session", SESSION), ("tombstones", "tombstone", TOMBSTONE),
                                    ("annotations", "annotation", ANNOTATION)):
        for name in repository.names(folder):
            repository.record(name, purpose, schema)
    entries = cut = 0
    for id_, fate in repository.fates.items():
        if "Committed" not in fate:
            continue
        snapshot = repository.find(id_)
        for line in (describe(repository, *found) for found in repository.tree(snapshot)):
            entries += 1
        for _, entry, _, _ in repository.tree(snapshot):
            if "Directory" in entry["node"]:
                repository.cuts(entry["node"]["Directory"])
            elif "File" in entry["node"]:
                cut += repository.check_chunks(entry["node"]["File"])
        for source in snapshot["sources"]:
            if "Mongo" in source:
                for collection in deployment.collections(repository, source["Mongo"]):
                    count = sum(1 for _ in deployment.content(repository, collection))
                    must(collection["documents"] in (None, count), f"{collection['namespace']}: not as many documents as were counted")
                continue
            if "Oplog" in source:
                deployment.check_slice(repository, source["Oplog"])
                continue
            if "Undo" in source:
                for own in source["Undo"]["collections"]:
                    for part in ("documents", "deleted"):
                        sum(1 for _ in deployment.stored(repository, own["before"][part], 0))
                continue
            repository.check_hints(source["Files"]["root"]["node"]["Directory"], source["Files"]["hints"])
    print(json.dumps({"snapshots": sum("Committed" in fate for fate in repository.fates.values()), "packs": len(repository.names("packs")),
                      "chunks": chunks, "entries": entries, "cut": cut}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("repository")
    parser.add_argument("--key-file")
    parser.add_argument("--passphrase")
    parser.add_argument("command", choices=["list", "ls", "extract", "documents", "verify"])
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    repository = Repository(given.repository, given.passphrase, given.key_file)
    if given.command == "list":
        live = [repository.find(id_) for id_, fate in repository.fates.items() if "Committed" in fate]
        for snapshot in sorted(live, key=lambda snapshot: snapshot["time"]):
            print(json.dumps({"id": snapshot["id"].hex(), "time": snapshot["time"], "kind": snapshot["kind"], "state": snapshot["state"],
                              "parent": snapshot["parent"] and snapshot["parent"].hex(), "host": snapshot["host"], "tags": snapshot["tags"]}))
    elif given.command == "ls":
        for found in repository.tree(repository.find(given.arguments[0])):
            print(json.dumps(describe(repository, *found)))
    elif given.command == "extract":
        extract(repository, repository.find(given.arguments[0]), given.arguments[1])
    elif given.command == "documents":
        extract_documents(repository, repository.find(given.arguments[0]), given.arguments[1])
    else:
        verify(repository)


if __name__ == "__main__":
    try:
        main()
    except Damage as damage:
        sys.exit(f"damage: {damage}")
