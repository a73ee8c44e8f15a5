#!/usr/bin/env python3
"""Makes a golden repository: a tree of every oddity in three states, a snapshot of each, and what they held.

    make.py golden PROGRAM FOLDER     as root, with /golden free; writes FOLDER/{repository,key,*.manifest}
    make.py recipes PROGRAM FOLDER    the same for dumps of three nights
    make.py deployment PROGRAM FOLDER ADDRESS
                                      the same for databases of a replica set that nobody else uses; wants pymongo
    make.py manifest DIR PREFIX       what stands in DIR, one JSON object a line, paths below PREFIX
    make.py listing < LINES           the second reader's `ls` as a manifest

Manifests are made from the file system alone, never from the repository. A released version's golden repository is made
once and never again: it is what later programs must still read.
"""
import hashlib, json, os, random, shutil, socket, stat, subprocess, sys, time

SOURCE = b"/golden"


def text(name):
    return name.decode("utf-8", "surrogateescape")


def number_name(number, kind):
    import grp, pwd
    try:
        return pwd.getpwuid(number).pw_name if kind == "user" else grp.getgrgid(number).gr_name
    except KeyError:
        return None


def holes(path, size):
    found, at = [], 0
    with open(path, "rb") as file:
        while at < size:
            try:
                data = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                data = size
            if data > at:
                found.append([at, data - at])
            at = os.lseek(file.fileno(), data, os.SEEK_HOLE) if data < size else size
    return found


def describe(here, path):
    found = os.lstat(here)
    kind = {stat.S_IFREG: "File", stat.S_IFDIR: "Directory", stat.S_IFLNK: "Symlink", stat.S_IFIFO: "Fifo", stat.S_IFSOCK: "Socket",
            stat.S_IFCHR: "CharDevice", stat.S_IFBLK: "BlockDevice"}[stat.S_IFMT(found.st_mode)]
    line = {"path": text(path), "type": kind, "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid,
            "user": number_name(found.st_uid, "user"), "group": number_name(found.st_gid, "group"), "mtime": found.st_mtime_ns}
    if kind == "File":
        with open(here, "rb") as file:
            line |= {"size": found.st_size, "sha256": hashlib.sha256(file.read()).hexdigest(), "holes": holes(here, found.st_size)}
    elif kind == "Symlink":
        line["target"] = text(os.readlink(here))
    elif kind in ("CharDevice", "BlockDevice"):
        line["device"] = [os.major(found.st_rdev), os.minor(found.st_rdev)]
    names = sorted(os.fsencode(name) for name in os.listxattr(here, follow_symlinks=False))
    if names:
        line["xattrs"] = {text(name): os.getxattr(here, name, follow_symlinks=False).hex() for name in names}
    if kind != "Directory" and found.st_nlink > 1:
        line["links"] = found.st_nlink
    return line


def manifest(here, path):
    """Depth first, members in the order of raw names, as a snapshot lists them."""
    yield describe(here, path)
    for name in sorted(os.listdir(here)):
        below = os.path.join(here, name)
        if os.path.isdir(below) and not os.path.islink(below):
            yield from manifest(below, os.path.join(path, name))
        else:
            yield describe(below, os.path.join(path, name))


def lines(entries):
    """One JSON object a line; the members of `many/` are one line together, or manifests would be larger than repositories."""
    many = hashlib.sha256()
    for entry in entries:
        line = json.dumps(entry) + "\n"
        if entry["path"].startswith("/golden/many/"):
            many.update(line.encode())
        else:
            yield line
    yield json.dumps({"many": many.hexdigest()}) + "\n"


def write(name, data, mtime=1_700_000_000_123_456_789, mode=0o644):
    path = os.path.join(SOURCE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(mtime, mtime))
    return path


def noise(seed, length):
    """Bytes that compress to about a quarter, so that a repository of many chunks stays small."""
    source = random.Random(seed)
    return bytes(source.choice(b"ACGT") for _ in range(length))


def first_state():
    write(b"empty", b"")
    write(b"tiny", b"a few bytes\n")
    write(b"inline at its limit", noise(1, 256))
    write(b"one chunk", noise(2, 5_000))
    write(b"several chunks", noise(3, 150_000))
    write(b"incompressible", random.Random(4).randbytes(3_000))
    block = noise(5, 70_000)
    write(b"long list", block * 60)                     # many pieces, few chunks
    write(b"before 1970", b"old\n" * 100, mtime=-1_000_000_000_000_000_001)
    write(b"after 2038", b"new\n" * 100, mtime=4_000_000_000_999_999_999)
    write(b"setuid", b"#!/bin/sh\n", mode=0o4755)
    write(b"no permission", b"secret\n", mode=0o000)
    owned = write(b"owned by a number", b"x\n")
    os.chown(owned, 12_345, 54_321)
    os.chown(write(b"owned by a name", b"x\n"), 1, 1)
    write(b"\xff\xfe not UTF-8", b"name\n")
    write("\u00e9\u4e16\u754c".encode(), b"name\n")
    write(b"line\nend and \\ and \"", b"name\n")
    write(b"n" * 255, b"a long name\n")
    with open(os.path.join(SOURCE, b"sparse"), "wb") as file:
        file.seek(3 << 20)
        file.write(noise(6, 4096))
        file.seek(10 << 20)
        file.write(noise(7, 4096))
        file.truncate(64 << 20)
    with open(os.path.join(SOURCE, b"all hole"), "wb") as file:
        file.truncate(200)
    os.symlink(b"tiny", os.path.join(SOURCE, b"link to tiny"))
    os.symlink(b"../\xff/nowhere", os.path.join(SOURCE, b"link to nowhere"))
    os.makedirs(os.path.join(SOURCE, b"hard"))
    first = write(b"hard/one", noise(8, 3_000))
    os.link(first, os.path.join(SOURCE, b"hard/two"))
    os.link(first, os.path.join(SOURCE, b"zz also hard"))
    os.mkfifo(os.path.join(SOURCE, b"fifo"))
    os.mkfifo(os.path.join(SOURCE, b"fifo linked"))
    os.link(os.path.join(SOURCE, b"fifo linked"), os.path.join(SOURCE, b"fifo linked again"))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.join(SOURCE, b"socket"))
    os.mknod(os.path.join(SOURCE, b"null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(os.path.join(SOURCE, b"block"), stat.S_IFBLK | 0o660, os.makedev(259, 1_000))
    attributed = write(b"attributes", b"with attributes\n")
    os.setxattr(attributed, b"user.small", b"value \xff\0")
    os.setxattr(attributed, b"user.empty", b"")
    os.setxattr(attributed, b"user.large", noise(9, 2_000))
    os.setxattr(attributed, b"trusted.golden", b"root only")
    subprocess.run(["setfacl", "-m", "u:12345:r,g:54321:rw", attributed], check=True)
    directory = os.path.join(SOURCE, b"directory with a default ACL")
    os.makedirs(directory)
    subprocess.run(["setfacl", "-d", "-m", "u:12345:rwx", directory], check=True)
    os.makedirs(os.path.join(SOURCE, b"empty directory"), 0o1777)
    os.chmod(os.path.join(SOURCE, b"empty directory"), 0o1777)
    os.makedirs(os.path.join(SOURCE, b"deep", *[b"%d" % level for level in range(60)]))
    for number in range(1_500):                          # several leaves and a branch
        write(b"many/file %06d" % number, b"")


def second_state():
    write(b"tiny", b"a few other bytes\n", mtime=1_710_000_000_000_000_000)
    write(b"many/file 000750 and a half", b"")
    os.unlink(os.path.join(SOURCE, b"empty"))
    changed = bytearray(noise(3, 150_000))
    changed[70_000:70_000] = b"INSERTED"
    write(b"several chunks", bytes(changed), mtime=1_710_000_000_000_000_000)
    os.rename(os.path.join(SOURCE, b"hard/one"), os.path.join(SOURCE, b"hard/moved"))


def third_state():
    shutil.rmtree(os.path.join(SOURCE, b"many"))
    os.unlink(os.path.join(SOURCE, b"fifo"))
    write(b"fifo", b"a file now\n", mtime=1_720_000_000_000_000_000)
    subprocess.run(["setfacl", "-b", os.path.join(SOURCE, b"attributes")], check=True)


def settle():
    """Directories get fixed times, deepest first, so that the tree is the same whenever it is made."""
    for folder, folders, _ in sorted(os.walk(SOURCE), reverse=True):
        os.utime(folder, ns=(1_705_000_000_000_000_001, 1_705_000_000_000_000_001))
    for name in (b"sparse", b"all hole", b"link to tiny", b"link to nowhere", b"fifo", b"fifo linked", b"socket", b"null", b"block"):
        os.utime(os.path.join(SOURCE, name), ns=(1_706_000_000_000_000_002,) * 2, follow_symlinks=False)


def golden(program, folder):
    if os.path.exists(SOURCE):
        sys.exit("/golden is there already")
    repository, key = os.path.join(folder, "repository"), os.path.join(folder, "key")
    for old in [repository] if os.path.exists(repository) else []:
        shutil.rmtree(old)
    if os.path.exists(key):
        os.unlink(key)
    os.makedirs(folder, exist_ok=True)
    common = [program, "-r", repository, "--key-file", key, "--no-cache", "--no-progress"]
    run = lambda *arguments: subprocess.run([*common, *arguments], check=True, stdout=subprocess.PIPE)
    run("init")
    passphrase = os.path.join(folder, "passphrase")
    with open(passphrase, "w") as file:
        file.write("golden\n")
    run("key", "add", "--new-password-file", passphrase, "--label", "golden passphrase")
    os.unlink(passphrase)
    spare = os.path.join(folder, "spare")
    slot = json.loads(run("key", "add", "--new-key-file", spare, "--json").stdout)["id"]
    os.unlink(spare)
    os.umask(0o022)
    os.makedirs(SOURCE)
    states = [(first_state, "full", "2026-11-01T00:00:00Z", ["--tag", "first,golden"]),
              (second_state, "incremental", "2026-11-02T00:00:00Z", ["--tag", "golden"]),
              (third_state, "differential", "2026-11-03T00:00:00Z", ["--exclude", "deep"])]
    for number, (state, kind, when, more) in enumerate(states, 1):
        state()
        settle()
        time.sleep(3)                                    # so that what does not change is trusted as unchanged
        run("snapshot", "--type", kind, "--time", when, "--host", "golden", *more, text(SOURCE))
        if number == 1:
            run("key", "remove", slot)                   # a third ring, and a second sealing root
        with open(os.path.join(folder, f"{number}.manifest"), "w") as file:
            excluded = "/golden/deep" if number == 3 else "nothing"
            file.writelines(lines(entry for entry in manifest(SOURCE, SOURCE) if not entry["path"].startswith(excluded)))
    stream = subprocess.run([*common, "snapshot", "--stdin", "--stdin-filename", "stream", "--time", "2026-11-04T00:00:00Z", "--host",
                             "golden"], input=b"from a pipe\n" * 40_000, check=True)
    assert stream.returncode == 0
    shutil.rmtree(SOURCE)
    size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(repository) for name in names)
    print(f"{size} bytes in {repository}")


def recipes(program, folder):
    """Dumps of three nights: the second and the third are recipes against the one before."""
    if os.path.exists(SOURCE):
        sys.exit("/golden is there already")
    repository, key = os.path.join(folder, "repository"), os.path.join(folder, "key")
    os.makedirs(folder)
    run = lambda *arguments: subprocess.run([program, "-r", repository, "--key-file", key, "--no-cache", "--no-progress", *arguments],
                                            check=True, stdout=subprocess.PIPE)
    run("init")
    os.umask(0o022)
    os.makedirs(SOURCE)
    source = random.Random(11)
    documents = [[number, noise(number, source.randrange(100, 900)).decode()] for number in range(1_200)]
    for night in (1, 2, 3):
        lines_ = [json.dumps({"_id": number, "text": words}).encode() for number, words in documents]
        write(b"lines.jsonl", b"".join(line + b"\n" for line in lines_))
        write(b"array.json", b"[" + b",".join(lines_) + b"]")
        raw = b""
        for number, words in documents:
            body = b"\x10_id\0" + number.to_bytes(4, "little") + b"\x02text\0" + (len(words) + 1).to_bytes(4, "little") + words.encode() + b"\0\0"
            raw += (len(body) + 4).to_bytes(4, "little") + body
        write(b"collection.bson", raw)
        settle_dumps(night)
        run("snapshot", "--time", f"2026-11-0{night}T00:00:00Z", "--host", "golden", text(SOURCE))
        with open(os.path.join(folder, f"{night}.manifest"), "w") as file:
            file.writelines(lines(manifest(SOURCE, SOURCE)))
        for _ in range(12):
            source.choice(documents)[1] = noise(source.random(), source.randrange(100, 900)).decode()
        del documents[source.randrange(len(documents))]
        documents.insert(source.randrange(len(documents)), [5_000 + night, "new"])
        documents += [[2_000 * night + more, noise(more, 400).decode()] for more in range(24)]
    shutil.rmtree(SOURCE)


def settle_dumps(night):
    for name in os.listdir(SOURCE):
        os.utime(os.path.join(SOURCE, name), ns=(1_700_000_000_000_000_000 + night,) * 2)
    os.utime(SOURCE, ns=(1_705_000_000_000_000_001,) * 2)


def deployment(program, folder, address):
    """Databases of a replica set in three states, and in one between the second and the third: at the end of the second that
    between.manifest begins with."""
    from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
    from blake3 import blake3
    from bson.raw_bson import RawBSONDocument
    from pymongo import MongoClient
    repository, key = os.path.join(folder, "repository"), os.path.join(folder, "key")
    os.makedirs(folder)
    client = MongoClient(address, directConnection=True)
    shop, raw = client["golden"], MongoClient(address, directConnection=True, document_class=RawBSONDocument)["golden"]
    source = random.Random(12)

    def state(name, first=()):
        all_ = []
        for listed in shop.list_collections():
            collection = listed["name"]
            if listed["type"] == "collection" and collection != "system.views":
                all_ += [f"golden.{collection} {blake3(own.raw).hexdigest()}\n" for own in raw[collection].find()]
        with open(os.path.join(folder, f"{name}.manifest"), "w") as file:
            file.writelines([*first, *sorted(all_)])

    def snapshot(number):
        common = [program, "-r", repository, "--key-file", key, "--no-cache", "--no-progress"]
        if number == 1:
            subprocess.run([*common, "init"], check=True, stdout=subprocess.PIPE)
        subprocess.run([*common, "snapshot", address, "--host", "golden"], check=True, stdout=subprocess.PIPE)
        state(number)

    quotes = [{"_id": number, "text": noise(number, source.randrange(50, 600)).decode(), "n": number % 7} for number in range(1_500)]
    shop["quotes"].insert_many(quotes)
    shop["quotes"].create_index("n")
    odd = [MinKey(), 1.5, Int64(2**60), "text", ObjectId(b"golden golde"), True, Binary(b"\0\xff", 0), Binary(b"0" * 16, 4), Regex("a", "i"),
           Timestamp(5, 6), Decimal128("2.50"), {"a": 1, "b": [1]}, MaxKey()]
    shop["odd"].insert_many([{"_id": id_, "holds": {"again": id_, "none": None, "list": [id_]}} for id_ in odd if not isinstance(id_, Regex)])
    shop.create_collection("log", capped=True, size=1 << 16, max=40)
    shop["log"].insert_many([{"_id": number, "n": -number} for number in range(60)])
    shop.create_collection("names", collation={"locale": "de", "strength": 2})
    shop["names"].insert_many([{"_id": name} for name in ("b", "A", "c", "\u00e4", "Z")])
    shop.create_collection("cheap", viewOn="quotes", pipeline=[{"$match": {"n": 1}}])
    shop.create_collection("weather", timeseries={"timeField": "t", "metaField": "m"})
    import datetime
    begin = datetime.datetime(2026, 11, 1)
    shop["weather"].insert_many([{"t": begin + datetime.timedelta(minutes=number), "m": number % 3, "v": number} for number in range(90)])
    snapshot(1)
    shop["quotes"].update_many({"_id": {"$mod": [97, 5]}}, {"$set": {"text": "changed"}})
    shop["quotes"].delete_many({"_id": {"$mod": [101, 7]}})
    shop["quotes"].insert_many([{"_id": f"new {number}"} for number in range(20)])
    shop["log"].insert_many([{"_id": number, "n": -number} for number in range(60, 75)])
    snapshot(2)
    with client.start_session() as session, session.start_transaction():
        shop["quotes"].update_one({"_id": 11}, {"$push": {"turns": {"at": 1}}}, session=session)
        shop["odd"].delete_one({"_id": "text"}, session=session)
    shop["names"].rename("people")
    shop["quotes"].update_many({"n": 3}, {"$inc": {"n": 100}, "$unset": {"text": 1}})
    time.sleep(2.2)
    state("between", [f"{int(time.time()) - 1}\n"])
    time.sleep(2.2)
    shop["quotes"].drop_index("n_1")
    shop["quotes"].delete_many({"n": 103})
    shop["people"].drop()
    shop["log"].insert_one({"_id": "last"})
    snapshot(3)


if __name__ == "__main__":
    if sys.argv[1] == "deployment":
        deployment(*sys.argv[2:5])
    elif sys.argv[1] == "recipes":
        recipes(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "golden":
        golden(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "manifest":
        sys.stdout.writelines(lines(manifest(os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3]))))
    else:
        sys.stdout.writelines(lines(entry for entry in map(json.loads, sys.stdin) if entry["path"].startswith("/golden")))
