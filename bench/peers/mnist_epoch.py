"""Times an epoch of the `mnist` recipe in PyTorch: the same network, batch size, optimizer and schedule on the same
files, all of them in memory. One JSON object an epoch; compare with `onestep train mnist --data DIR --epochs N`.
"""

import argparse
import gzip
import json
import math
import time
import tomllib
from pathlib import Path

import torch
from torch import nn

import pytorch

RECIPE = Path(__file__).resolve().parents[2] / "crates/onestep/recipes/mnist.toml"


def read_idx(folder, name):
    """The u8 numbers of an IDX file, gzipped or not."""
    plain, gzipped = folder / name, folder / f"{name}.gz"
    data = plain.read_bytes() if plain.exists() else gzip.decompress(gzipped.read_bytes())
    extents = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return torch.frombuffer(bytearray(data[4 + 4 * len(extents) :]), dtype=torch.uint8).reshape(extents)


def learning_rate(schedule, base, step, steps):
    """A cosine to 0 over the run, after a warm-up."""
    assert schedule["type"] == "cosine"
    warmup = schedule.get("warmup", 0)
    if step < warmup:
        return base * (step + 1) / warmup
    return base * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of MNIST's four files")
    parser.add_argument("--epochs", type=int, default=1, help="default: 1")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    recipe = tomllib.loads(RECIPE.read_text())
    recipe["data"]["shape"] = [28, 28, 1]
    images = read_idx(args.data, "train-images-idx3-ubyte").unsqueeze(1)
    labels = read_idx(args.data, "train-labels-idx1-ubyte").long()
    model, loss_of = pytorch.network(recipe), nn.CrossEntropyLoss()
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = pytorch.optimizer_of(recipe, model.parameters())
    batch, base = recipe["training"]["batch_size"], recipe["optimizer"]["learning_rate"]
    steps = math.ceil(len(images) / batch) * args.epochs
    done = 0
    for epoch in range(1, args.epochs + 1):
        began, total = time.perf_counter(), 0.0
        for indices in torch.randperm(len(images)).split(batch):
            x = (images[indices].float().div(255) - 0.1307) / 0.3081
            optimizer.param_groups[0]["lr"] = learning_rate(recipe["schedule"], base, done, steps)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x.to(memory_format=layout)), labels[indices])
            loss.backward()
            optimizer.step()
            total += loss.detach()
            done += 1
        seconds = time.perf_counter() - began
        line = {
            "peer": "pytorch eager" + (" channels-last" if args.channels_last else ""),
            "epoch": epoch,
            "seconds": round(seconds, 2),
            "steps": math.ceil(len(images) / batch),
            "train_loss": round(float(total) * args.epochs / steps, 4),
            "threads": args.threads,
            "version": torch.__version__,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
