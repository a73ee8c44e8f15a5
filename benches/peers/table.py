"""What the figures say: a table a data set, and the bounds that Duramen sets itself, met or not.

Every figure is the median of the runs. CPU is user and system together.
"""

import platform
import re
import statistics
from pathlib import Path

PHASES = ["first", "unchanged", "unchanged, warm", "edited", "one file", "restore", "check", "prune"]
OURS = "duramen"
NO_REPACK = ("bupstash",)
MEMORY_MAX = 128e6
QUICK = 0.1
QUICK_BOUND = 0.05
RANDOM_BYTES = 1 << 30


def machine():
    """Processor, cores and memory, as a reader needs them."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": model.group(1) if model else platform.processor(),
        "cores": info.count("processor\t"),
        "memory": int(memory.group(1)) * 1024 if memory else 0,
        "kernel": platform.release(),
    }


class Figures:
    """One data set's medians."""

    def __init__(self, name, rows):
        self.name = name
        self.rows = {label: phases for label, phases in rows.items() if "failed" not in phases}
        self.failed = {label: phases["failed"] for label, phases in rows.items() if "failed" in phases}

    def get(self, label, phase, measure):
        """The median, or none."""
        runs = self.rows.get(label, {}).get(phase)
        return statistics.median(run[measure] for run in runs) if runs else None

    @property
    def tools(self):
        return [label for label in self.rows if label != "limits"]

    @property
    def peers(self):
        return [label for label in self.tools if not label.startswith(OURS)]

    @property
    def variants(self):
        return [label for label in self.tools if label.startswith(OURS)]

    def best(self, phase, measure, among=None):
        """The smallest of the peers' figures, with whose it is."""
        found = [(self.get(peer, phase, measure), peer) for peer in (self.peers if among is None else among)]
        return min(((value, peer) for value, peer in found if value is not None), default=(None, None))


class Bound:
    """One bound: what was measured, what it may be at most, and against whom."""

    def __init__(self, what, value, most, against):
        self.what, self.value, self.most, self.against = what, value, most, against

    @property
    def measured(self):
        return self.value is not None and self.most is not None

    @property
    def met(self):
        return self.measured and self.value <= self.most

    def row(self):
        if not self.measured:
            return f"| {self.what} | | | {self.against} | not measured |"
        ratio = f" ({self.value / self.most:.2f})" if self.most else ""
        verdict = "met" if self.met else "**not met**"
        return f"| {self.what} | {_figure(self.value)} | {_figure(self.most)} | {self.against} | {verdict}{ratio} |"


def _figure(value):
    """Three digits; bytes in megabytes."""
    return f"{value / 1e6:.1f} M" if value >= 1e5 else f"{value:.3g}"


def bounds(figures):
    """Every bound that this data set has."""
    get, best = figures.get, figures.best
    found = []

    def at_most(what, value, share, of):
        reference, peer = of
        most = None if reference is None else share * reference
        found.append(Bound(what, value, most, f"{share:g} of {peer}'s {_figure(reference)}" if peer else "no peer"))

    smallest = best("first", "bytes")
    if smallest[0] is not None:
        close = [peer for peer in figures.peers if (get(peer, "first", "bytes") or 1e30) <= 1.2 * smallest[0]]
        for measure in ("cpu", "wall"):
            at_most(f"first: {measure} s", get(OURS, "first", measure), 0.8, best("first", measure, close))
        at_most("first: bytes", get(OURS, "first", "bytes"), 1.05, smallest)
        at_most("first, fast: cpu s", get("duramen fast", "first", "cpu"), 0.7, best("first", "cpu"))
        random = RANDOM_BYTES if figures.name == "large" else 0
        small = get("duramen small", "first", "bytes")
        at_most(
            "first, small: bytes without random ones",
            None if small is None else small - random,
            0.9,
            (smallest[0] - random, smallest[1]),
        )
        for ours in figures.variants:
            better = [
                peer
                for peer in figures.peers
                if get(peer, "first", "cpu") < get(ours, "first", "cpu") and get(peer, "first", "bytes") < get(ours, "first", "bytes")
            ]
            found.append(Bound(f"peers better than {ours} in both CPU and bytes", len(better), 0, ", ".join(better) or "none"))
    if figures.name == "small":
        at_most("first: wall s against hashing", get(OURS, "first", "wall"), 1.3, (get("limits", "b3sum", "wall"), "b3sum"))
    for phase, measure, share in [("unchanged", "wall", 0.7), ("unchanged", "cpu", 1.0), ("unchanged, warm", "cpu", 0.6)]:
        reference, peer = best(phase, measure)
        value = get(OURS, phase, measure)
        if reference is not None and reference < QUICK:
            found.append(Bound(f"{phase}: {measure} s", value, QUICK_BOUND, f"{peer} needs {reference:.3f}"))
        else:
            at_most(f"{phase}: {measure} s", value, share, (reference, peer))
    at_most("edited: bytes", get(OURS, "edited", "bytes"), 0.5 if figures.name in ("large", "dumps") else 1.0, best("edited", "bytes"))
    at_most("restore: wall s against untar", get(OURS, "restore", "wall"), 1.0, (get("limits", "untar", "wall"), "tar"))
    at_most("restore: wall s", get(OURS, "restore", "wall"), 0.8, best("restore", "wall"))
    at_most("restore: cpu s", get(OURS, "restore", "cpu"), 0.9, best("restore", "cpu"))
    one = 0.5 if figures.name == "large" else 1.0
    for measure in ("wall", "cpu"):
        at_most(f"one file: {measure} s", get(OURS, "one file", measure), one, best("one file", measure))
        at_most(f"check: {measure} s", get(OURS, "check", measure), 0.7, best("check", measure))
        repack = [peer for peer in figures.peers if not peer.startswith(NO_REPACK)]
        at_most(f"prune: {measure} s", get(OURS, "prune", measure), 0.7, best("prune", measure, repack))
    for ours in figures.variants:
        peaks = [get(ours, phase, "peak") for phase in PHASES]
        found.append(Bound(f"{ours}: peak memory MB", max(p or 0 for p in peaks) / 1e6, MEMORY_MAX / 1e6, "any command"))
    return found


def _cell(figures, label, phase):
    wall = figures.get(label, phase, "wall")
    if wall is None:
        return ""
    return f"{wall:.2f} / {figures.get(label, phase, 'cpu'):.2f} / {figures.get(label, phase, 'peak') / 1e6:.0f}"


def markdown(results):
    """All tables."""
    box = results["machine"]
    lines = [
        f"{box['processor']}, {box['cores']} cores, {box['memory'] / 1e9:.0f} GB, Linux {box['kernel']}; median of {results['runs']}"
        f" run(s); page cache {results['cold']} before each phase but the warm one.",
        "",
        "; ".join(results["versions"].values()) + ".",
    ]
    for name, rows in results["sets"].items():
        figures = Figures(name, rows)
        lines += ["", f"### {name}", "", "Seconds of wall / of CPU / peak MB.", ""]
        lines += ["| tool | " + " | ".join(PHASES) + " |", "|---" * (len(PHASES) + 1) + "|"]
        for label in figures.tools:
            lines.append(f"| {label} | " + " | ".join(_cell(figures, label, phase) for phase in PHASES) + " |")
        lines += ["", "Megabytes stored.", "", "| tool | first | unchanged | edited | prune |", "|---|---|---|---|---|"]
        for label in figures.tools:
            stored = [figures.get(label, phase, "bytes") for phase in ("first", "unchanged", "edited", "prune")]
            lines.append(f"| {label} | " + " | ".join(f"{(value or 0) / 1e6:.2f}" for value in stored) + " |")
        lines += ["", "Limits.", "", "| what | wall s | CPU s | MB |", "|---|---|---|---|"]
        for what in figures.rows.get("limits", {}):
            wall, cpu, stored = (figures.get("limits", what, measure) for measure in ("wall", "cpu", "bytes"))
            lines.append(f"| {what} | {wall:.2f} | {cpu:.2f} | {stored / 1e6 or ''} |")
        lines += ["", "Bounds.", "", "| what | measured | at most | against | |", "|---|---|---|---|---|"]
        lines += [bound.row() for bound in bounds(figures)]
        lines += [f"\n{label} failed: {why}" for label, why in figures.failed.items()]
    return "\n".join(lines) + "\n"
