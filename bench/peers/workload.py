"""What the peers' scripts share: workloads from bench/workloads/*.toml, the protocol of timing, and the lines printed.

A workload is the same file that `onestep bench` reads, so both sides build their network from one text.
"""

import argparse
import copy
import json
import os
import statistics
import time
import tomllib
from pathlib import Path

WORKLOADS = Path(__file__).resolve().parent.parent / "workloads"
NAMES = sorted(path.stem for path in WORKLOADS.glob("*.toml"))
SMALL = ["seed_cnn", "mlp", "small_cnn"]  # those of `onestep bench` where none is named
WARM_UP = 0.3  # seconds
REPEAT = 0.2  # seconds


def parser_of(description):
    """The command line that all peers share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(NAMES)} (default: {', '.join(SMALL)})")
    parser.add_argument("--batch", type=numbers, default=[], metavar="N[,N]", help="over the workload's")
    parser.add_argument("--width", type=numbers, default=[], metavar="N[,N]", help="of the first layer")
    parser.add_argument("--threads", type=positive, default=1, help="default: 1")
    parser.add_argument("--steps", type=positive, help="a repeat (default: a fifth of a second's)")
    parser.add_argument("--repeats", type=positive, default=10, help="default: 10")
    return parser


def parse(parser):
    args = parser.parse_args()
    wrong = [name for name in args.workloads if name not in NAMES]
    if wrong:
        parser.error(f"there is no workload {', '.join(wrong)}; there are {', '.join(NAMES)}")
    args.workloads = args.workloads or SMALL
    # Compilers for a GPU have many threads of their own, and one of ours waits for the device.
    compiles = getattr(args, "compile", False) and args.device == "cuda"
    if args.threads == 1 and not compiles and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    return args


def numbers(text):
    return [positive(n) for n in text.split(",")]


def positive(text):
    n = int(text)
    if n < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return n


def load(name, width=None):
    """The workload's tables; `width` is the first layer's, the other hidden layers follow in proportion."""
    workload = tomllib.loads((WORKLOADS / f"{name}.toml").read_text())
    if width is not None:
        workload = copy.deepcopy(workload)
        hidden = [layer for layer in workload["model"]["layers"] if "out" in layer or "filters" in layer][:-1]
        key = lambda layer: "out" if "out" in layer else "filters"
        first = hidden[0][key(hidden[0])]
        for layer in hidden:
            layer[key(layer)] = -(-layer[key(layer)] * width // first)
    return workload


def precision_of(workload):
    """The floats that products and convolutions read: f32, bf16 or f16. Parameters are f32 in each."""
    return workload["training"].get("precision", "f32")


def runs(args):
    """Every (name, width, batch, workload) that is asked for."""
    for name in args.workloads:
        for width in args.width or [None]:
            workload = load(name, width)
            for batch in args.batch or [workload["training"]["batch_size"]]:
                yield name, width, batch, workload


def layer_sizes(workload):
    """Each layer's table with the shape of its input and output without the batch, channels last."""
    shape = list(workload["data"]["shape"])
    for layer in workload["model"]["layers"]:
        kind, before = layer["type"], list(shape)
        if kind == "conv2d":
            low_high = padding(layer)
            kernel, stride = layer["kernel"], layer.get("stride", 1)
            shape = [(n + 2 * low_high - kernel) // stride + 1 for n in shape[:2]] + [layer["filters"]]
        elif kind == "max_pool2d":
            shape = [n // layer["kernel"] for n in shape[:2]] + shape[2:]
        elif kind == "global_avg_pool":
            shape = shape[-1:]
        elif kind == "flatten":
            n = 1
            for extent in shape:
                n *= extent
            shape = [n]
        elif kind == "linear":
            shape = shape[:-1] + [layer["out"]]
        elif kind != "dropout":
            raise SystemExit(f"the peers do not know the layer type {kind}; add it to bench/peers")
        yield layer, before, list(shape)


def padding(layer):
    """Zeros on each side of a convolution's image; "same" is known for stride 1 and odd kernels."""
    given = layer.get("padding", "valid")
    if given == "same":
        assert layer.get("stride", 1) == 1 and layer["kernel"] % 2 == 1
        return layer["kernel"] // 2
    return 0 if given == "valid" else given


def measure(args, step, wait):
    """Microseconds a step of each repeat: warm up, then N steps with one wait after them, some times over.

    `step(n)` submits n steps, `wait()` waits for the device.
    """
    step(1)
    wait()
    began, done = time.perf_counter(), 0
    while done < 3 or time.perf_counter() - began < WARM_UP:
        step(1)
        wait()
        done += 1
    steps = args.steps or max(1, round(REPEAT * done / (time.perf_counter() - began)))
    step(steps)  # what runs many steps as one compiles for their number
    wait()
    times = []
    for _ in range(args.repeats):
        began = time.perf_counter()
        step(steps)
        wait()
        times.append(1e6 * (time.perf_counter() - began) / steps)
    return times


def report(args, peer, version, device, name, width, batch, precision, times):
    """One JSON object a line, as `onestep bench --json`."""
    median = statistics.median(times)
    line = {
        "peer": peer,
        "workload": name,
        "device": device,
        "threads": args.threads,
        "batch": batch,
        "precision": precision,
        "median_us": round(median, 3),
        "min_us": round(min(times), 3),
        "max_us": round(max(times), 3),
        "items_per_second": round(batch * 1e6 / median),
        "version": version,
    }
    if width is not None:
        line["width"] = width
    print(json.dumps(line), flush=True)
