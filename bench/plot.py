"""Draws how a step's time grows with batch size and with width, from lines of `onestep bench --json` and its peers.

Lines with a width make the width curves, all others the batch curves. Needs matplotlib.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="lines of JSON")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="a folder (default: %(default)s)")
    args = parser.parse_args()
    text = "\n".join(path.read_text() for path in args.files)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    args.out.mkdir(parents=True, exist_ok=True)
    draw("batch", [line for line in lines if "width" not in line], args.out)
    draw("width", [line for line in lines if "width" in line], args.out)


def draw(axis, lines, folder):
    """One picture: the time of a step on the left, of an item of its batch on the right."""
    curves = {}
    for line in lines:
        who, batch = line.get("peer", "onestep"), "" if axis == "batch" else f", batch {line['batch']}"
        curves.setdefault(f"{line['workload']}{batch}, {who}", {})[line[axis]] = line
    curves = {name: dict(sorted(points.items())) for name, points in curves.items() if len(points) > 1}
    if not curves:
        return
    figure, panels = pyplot.subplots(1, 2, figsize=(13, 6), constrained_layout=True)
    for name, points in sorted(curves.items()):
        style = {"marker": ".", "label": name, "linestyle": "-" if "onestep" in name else "--"}
        panels[0].plot(list(points), [p["median_us"] for p in points.values()], **style)
        panels[1].plot(list(points), [p["median_us"] / p["batch"] for p in points.values()], **style)
    for panel, title in zip(panels, ["µs a step", "µs a step and item"]):
        panel.set(xscale="log", yscale="log", xlabel=axis, title=title)
        panel.grid(which="both", alpha=0.3)
    panels[0].legend(fontsize="small")
    path = folder / f"{axis}.png"
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
