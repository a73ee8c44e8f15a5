"""Duramen and its peers, each as its users call it: encrypted, with a cache of its own, with all defaults but those
that a variant names. A tool is a set of command lines; nothing here measures."""

import json
import os
import shutil
import subprocess
from pathlib import Path

PASSWORD = "benchmark"


class Tool:
    """One tool in one variant; `place` is a folder of its own, which holds repository, cache and keys."""

    repacks = True

    def __init__(self, variant, place):
        self.variant = variant
        self.place = Path(place)
        self.repository = self.place / "repository"

    @property
    def label(self):
        return f"{self.name} {self.variant}".strip()

    def environment(self):
        return {}

    def output(self, command):
        env = {**os.environ, **{k: str(v) for k, v in self.environment().items()}}
        return subprocess.run([str(c) for c in command], env=env, check=True, stdout=subprocess.PIPE).stdout.decode()

    def restored(self, target, tree):
        """Where a restore of `tree` into `target` puts it."""
        return target / str(tree).lstrip("/")


class Duramen(Tool):
    name = "duramen"

    def __init__(self, binary, variant, place):
        super().__init__(variant, place)
        self.binary = binary

    def version(self):
        return self.output([self.binary, "--version"])

    def environment(self):
        return {
            "DURAMEN_REPOSITORY": self.repository,
            "DURAMEN_KEY_FILE": self.place / "key",
            "XDG_CACHE_HOME": self.place / "cache",
            "XDG_STATE_HOME": self.place / "state",
            "XDG_CONFIG_HOME": self.place,
        }

    def init(self):
        return [self.binary, "init"]

    def snapshot(self, tree):
        level = ["--compression", self.variant] if self.variant else []
        return [self.binary, "snapshot", "-q", *level, tree]

    def restore(self, target, tree):
        return [self.binary, "restore", "-q", "latest", "--target", target]

    def restore_one(self, target, file):
        return [self.binary, "restore", "-q", f"latest:{file}", "--target", target]

    def restored_one(self, target, file):
        return target / file.name

    def check(self, target):
        return [self.binary, "check", "-q", "--read-data"]

    def forget(self):
        return [self.binary, "forget", "-q", "--keep-last", "1", "--group-by", ""]

    def prune(self):
        return [self.binary, "prune", "-q", "--grace", "0s"]


class Restic(Tool):
    name = "restic"

    def version(self):
        return self.output(["restic", "version"])

    def environment(self):
        return {"RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": self.place / "cache"}

    def init(self):
        return ["restic", "init", "-q"]

    def snapshot(self, tree):
        return ["restic", "backup", "-q", tree]

    def restore(self, target, tree):
        return ["restic", "restore", "-q", "latest", "--target", target]

    def restore_one(self, target, file):
        return ["restic", "restore", "-q", "latest", "--target", target, "--include", file]

    def restored_one(self, target, file):
        return self.restored(target, file)

    def check(self, target):
        return ["restic", "check", "-q", "--read-data"]

    def forget(self):
        return ["restic", "forget", "-q", "--keep-last", "1", "--group-by", ""]

    def prune(self):
        return ["restic", "prune", "-q"]


class Rustic(Tool):
    name = "rustic"

    def version(self):
        return self.output(["rustic", "--version"])

    def environment(self):
        return {
            "RUSTIC_REPOSITORY": self.repository,
            "RUSTIC_PASSWORD": PASSWORD,
            "RUSTIC_CACHE_DIR": self.place / "cache",
            "RUSTIC_NO_PROGRESS": "true",
            "RUSTIC_LOG_LEVEL": "warn",
            "XDG_CONFIG_HOME": self.place,
        }

    def init(self):
        return ["rustic", "init"]

    def snapshot(self, tree):
        return ["rustic", "backup", tree]

    def restore(self, target, tree):
        return ["rustic", "restore", f"latest:{tree}", self.restored(target, tree)]

    def restore_one(self, target, file):
        return ["rustic", "restore", f"latest:{file}", target / file.name]

    def restored_one(self, target, file):
        return target / file.name

    def check(self, target):
        return ["rustic", "check", "--read-data"]

    def forget(self):
        return ["rustic", "forget", "--keep-last", "1", "--group-by", ""]

    def prune(self):
        return ["rustic", "prune", "--instant-delete"]


class Borg(Tool):
    name = "borg"
    count = 0

    def version(self):
        return self.output(["borg", "--version"])

    def environment(self):
        return {
            "BORG_REPO": self.repository,
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": self.place,
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES",
        }

    def init(self):
        return ["borg", "init", "--encryption", "repokey-blake2"]

    def snapshot(self, tree):
        self.count += 1
        level = ["--compression", self.variant.replace(" ", ",")] if self.variant else []
        return ["borg", "create", *level, f"::{self.count}", tree]

    def restore(self, target, tree):
        return ["sh", "-c", f"mkdir -p '{target}' && cd '{target}' && exec borg extract ::{self.count}"]

    def restore_one(self, target, file):
        file = str(file).lstrip("/")
        return ["sh", "-c", f"mkdir -p '{target}' && cd '{target}' && exec borg extract ::{self.count} '{file}'"]

    def restored_one(self, target, file):
        return self.restored(target, file)

    def check(self, target):
        return ["borg", "check", "--verify-data"]

    def forget(self):
        return ["borg", "prune", "--keep-last", "1"]

    def prune(self):
        return ["borg", "compact", "--threshold", "0"]


class Bupstash(Tool):
    name = "bupstash"
    # `gc` drops what nothing needs and leaves what is left as it lies.
    repacks = False

    def version(self):
        return self.output(["bupstash", "--version"])

    def environment(self):
        return {
            "BUPSTASH_REPOSITORY": self.repository,
            "BUPSTASH_KEY": self.place / "key",
            "BUPSTASH_SEND_LOG": self.place / "log",
            "BUPSTASH_QUERY_CACHE": self.place / "query",
        }

    def init(self):
        key = self.place / "key"
        return ["sh", "-c", f"bupstash init && exec bupstash new-key -o '{key}'"]

    def snapshot(self, tree):
        return ["bupstash", "put", "-q", "name=tree", tree]

    def _items(self):
        lines = self.output(["bupstash", "list", "--format=jsonl1", "name=tree"]).splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda item: item["unix_timestamp_millis"])

    def latest(self):
        return self._items()[-1]["id"]

    def restore(self, target, tree):
        return ["bupstash", "restore", "-q", "--into", self._into(self.restored(target, tree)), f"id={self.latest()}"]

    @staticmethod
    def _into(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def restore_one(self, target, file):
        inside = Path(file).relative_to(self.tree)
        self._into(target)
        command = f"exec bupstash get -q --pick '{inside}' id={self.latest()} > '{target / file.name}'"
        return ["sh", "-c", command]

    def restored_one(self, target, file):
        return target / file.name

    def check(self, target):
        # It has none: reading everything that the last snapshot needs comes nearest.
        return ["sh", "-c", f"exec bupstash get -q id={self.latest()} > /dev/null"]

    def forget(self):
        old = [item["id"] for item in self._items() if item["id"] != self.latest()]
        return ["sh", "-c", " && ".join(["true", *(f"bupstash rm -q id={item}" for item in old)])]

    def prune(self):
        return ["bupstash", "gc", "-q"]


def peers(work):
    """Every peer that this machine has, in its default and, where that is another, at zstd 3."""
    wanted = [
        Restic("", work / "restic"),
        Rustic("", work / "rustic"),
        Borg("", work / "borg"),
        Borg("zstd 3", work / "borg-zstd-3"),
        Bupstash("", work / "bupstash"),
    ]
    return [tool for tool in wanted if shutil.which(tool.name)]
