"""Running one command, and what it took by the system's own account."""

import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


@dataclasses.dataclass
class Taken:
    """One run: seconds of wall and CPU, the largest process's peak memory in bytes."""

    wall: float
    user: float
    system: float
    peak: int

    @property
    def cpu(self):
        return self.user + self.system


class Failed(Exception):
    """A command ended otherwise than it should."""


def run(command, env=None, cwd=None, accept=(0,)):
    """Runs `command` (a list, or a text for the shell) without input; its output is shown only if it fails."""
    if isinstance(command, str):
        command = ["bash", "-o", "pipefail", "-c", command]
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        # A child of a fork of our own: wait4 counts it and what it waited for, and nobody else's.
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **{k: str(v) for k, v in (env or {}).items()}},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accept:
            output.seek(0)
            text = output.read()[-3000:].decode(errors="replace")
            raise Failed(f"{command} ended with {process.returncode}:\n{text}")
    return Taken(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024)


def drop_caches(*folders):
    """Makes what follows read from the disk; says how: `dropped` the whole cache, or `advised` for these folders."""
    os.sync()
    try:
        DROP.write_text("3\n")
        return "dropped"
    except OSError:
        pass
    for folder in folders:
        for path in Path(folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
    return "advised"


def stored_bytes(folder):
    """Sizes of all files below."""
    return sum(p.lstat().st_size for p in Path(folder).rglob("*") if not p.is_dir())
