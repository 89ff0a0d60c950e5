"""Times onestep and its peers alternately, prints ratios and appends them to a CSV. Needs the standard library alone.

Each round runs every side once, so that a machine that is faster at one time than at another is so for all of them.
What counts is the median over rounds; a ratio's spread is over the ratios of single rounds. A workload is reported as
soon as its rounds are done. A peer that fails or takes too long loses what it has not printed by then, and no other
side's results.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = {
    "pytorch": ["pytorch.py"],
    "pytorch-compile": ["pytorch.py", "--compile"],
    "jax": ["jax_jit.py"],
}
# A program of its own, built from bench/peers/burn; through Vulkan alone.
BURN = "burn"
# What is worth the minutes that compiling takes.
COMPILED = {"small_cnn", "small_cnn_1k", "big_mlp"}
COLUMNS = (
    "date machine cores commit workload who batch threads median_us min_us max_us ratio".split()
)
OURS = "onestep"


def main():
    args = arguments()
    cores = pin(args.cores)
    sides = {OURS: [args.onestep, "bench", "--json", "--device", args.device]}
    if args.allow_tf32:
        sides[OURS].append("--allow-tf32")
    for peer in args.peers:
        script, *flags = PEERS.get(peer, [None])
        program = [args.burn] if peer == BURN else [args.python, str(HERE / "peers" / script), *flags]
        sides[peer] = [*program, "--device", args.device]
    options = ["--threads", str(args.threads)]
    for name in ("batch", "steps", "repeats"):
        value = getattr(args, name)
        options += [f"--{name}", str(value)] if value else []
    for workload in args.workloads:
        found = {}  # batch -> who -> a line for each round
        for number in range(args.rounds):
            for side, command in sides.items():
                if side == "pytorch-compile" and workload not in COMPILED:
                    continue
                print(f"{workload}, round {number + 1} of {args.rounds}: {side}", file=sys.stderr)
                for line in run(command + [workload] + options, args.limit, needed=side == OURS):
                    line["round"] = number
                    found.setdefault(line["batch"], {}).setdefault(line.get("peer", OURS), []).append(line)
        for batch, lines in found.items():
            rows = judged(args, cores, workload, batch, lines)
            if args.csv:
                append(Path(args.csv), rows)


def judged(args, cores, workload, batch, sides):
    """Prints what each side took for a workload; its rows of the CSV."""
    ours = sides[OURS]
    print(f"\n{workload}, batch {batch}, {args.device}, {args.threads} threads on cores {cores}")
    rows = []
    for who, lines in sides.items():
        medians = [line["median_us"] for line in lines]
        ratio = statistics.median(medians) / statistics.median(line["median_us"] for line in ours)
        row = {
            "date": datetime.date.today().isoformat(),
            "machine": machine() if args.device == "cpu" else device_name(args.onestep, args.device),
            "cores": cores,
            "commit": ours[-1].get("commit", "unknown"),
            "workload": workload,
            "who": f"{who} tf32" if who == OURS and args.allow_tf32 else who,
            "batch": batch,
            "threads": args.threads,
            "median_us": round(statistics.median(medians), 1),
            "min_us": round(min(line["min_us"] for line in lines), 1),
            "max_us": round(max(line["max_us"] for line in lines), 1),
            "ratio": round(ratio, 3),
        }
        rows.append(row)
        print(
            f"  {who:30} {row['median_us']:>11,.1f} µs  ({row['min_us']:,.1f} to {row['max_us']:,.1f})"
            + ("" if who == OURS else f"  {ratio:6.2f} × onestep's")
        )
    verdict(sides)
    sys.stdout.flush()
    return rows


def verdict(sides):
    """The ratio against the better peer, with its spread over rounds."""
    rounds = {who: {line["round"]: line["median_us"] for line in lines} for who, lines in sides.items()}
    ours = rounds.pop(OURS)
    if not rounds:
        return
    medians = {who: statistics.median(times.values()) for who, times in rounds.items()}
    better = min(medians, key=medians.get)
    single = [theirs / ours[number] for number, theirs in rounds[better].items()]
    ratio = medians[better] / statistics.median(ours.values())
    print(f"  against the better peer ({better}): {ratio:.2f} times as fast ({min(single):.2f} to {max(single):.2f})")


def run(command, limit, needed):
    """The JSON lines that a command prints within so many seconds; if it is not needed, whatever becomes of it."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=limit)
        printed, failure = done.stdout, f"exit code {done.returncode}" if done.returncode else None
    except subprocess.TimeoutExpired as expired:
        printed, failure = expired.stdout or b"", f"not done after {limit} s"
    if failure:
        message = f"{' '.join(command)}: {failure}"
        if needed:
            sys.exit(message)
        print(message, file=sys.stderr)
    return [json.loads(line) for line in printed.decode().splitlines() if line.startswith("{") and line.endswith("}")]


def pin(cores):
    """Keeps this process and those it starts on some cores, where the system can; their list as text."""
    if not hasattr(os, "sched_setaffinity"):
        print("this system cannot pin processes to cores; figures will scatter", file=sys.stderr)
        return f"any of {os.cpu_count()}"
    if cores:
        os.sched_setaffinity(0, cores)
    return " ".join(str(core) for core in sorted(os.sched_getaffinity(0)))


def machine():
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device_name(onestep, device):
    """What onestep calls a device: the first part of its description."""
    lines = subprocess.run([onestep, "devices"], stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [re.split(r",| \(", line.split(None, 1)[1])[0] for line in lines if line.startswith(device)]
    return found[0] if found else device


def append(path, rows):
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workloads = ["seed_cnn", "mlp", "small_cnn"]
    parser.add_argument("workloads", nargs="*", default=workloads, help=f"default: {' '.join(workloads)}")
    parser.add_argument("--onestep", default="target/release/onestep", help="the program (default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda", "vulkan"], default="cpu", help="of every side (default: cpu)")
    parser.add_argument("--allow-tf32", action="store_true", help="let onestep use TF32, as its peers do on a GPU")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch and jax (default: this one)")
    parser.add_argument("--peers", nargs="*", choices=sorted([*PEERS, BURN]),
                        help=f"default: through Vulkan burn, else the others, pytorch-compile on a GPU alone and for {', '.join(sorted(COMPILED))}")  # fmt: skip
    parser.add_argument("--burn", default="bench/peers/burn/target/release/burn-peer", metavar="PROGRAM",
                        help="Burn's side (default: %(default)s)")  # fmt: skip
    parser.add_argument("--limit", type=float, default=240, metavar="SECONDS",
                        help="a round, side and workload (default: 240)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--cores", type=lambda text: [int(core) for core in text.split(",")], metavar="N[,N]",
                        help="pin everything to these cores (default: no pinning)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="of every side (default: 1)")
    parser.add_argument("--batch", type=int, help="over the workload's")
    parser.add_argument("--steps", type=int, help="a repeat (default: a fifth of a second's)")
    parser.add_argument("--repeats", type=int, help="a round and side (default: 10)")
    parser.add_argument("--csv", help="append the rows to this file, such as bench/results/cpu.csv")
    args = parser.parse_args()
    if args.peers is None:
        own = [peer for peer in PEERS if args.device == "cuda" or peer != "pytorch-compile"]
        args.peers = [BURN] if args.device == "vulkan" else own
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


if __name__ == "__main__":
    main()
