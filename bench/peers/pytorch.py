"""Times the workloads in PyTorch in both memory layouts, eager or, with --compile, through torch.compile. On a GPU the
whole step, optimizer included, is captured in a CUDA graph, and TF32 is allowed. One JSON object a line."""

import math

import torch
from torch import nn

import workload


def network(tables):
    """A network of the workload's layers over images [batch, channels, height, width]."""
    modules = []
    for layer, before, after in workload.layer_sizes(tables):
        kind = layer["type"]
        if kind == "conv2d":
            stride = layer.get("stride", 1)
            modules.append(nn.Conv2d(before[-1], after[-1], layer["kernel"], stride, workload.padding(layer)))
        elif kind == "max_pool2d":
            modules.append(nn.MaxPool2d(layer["kernel"]))
        elif kind == "global_avg_pool":
            modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif kind == "flatten":
            modules.append(nn.Flatten())
        elif kind == "linear":
            modules.append(nn.Linear(before[-1], after[-1]))
        elif kind == "dropout":
            modules.append(nn.Dropout(layer.get("p", 0.5)))
        if layer.get("activation"):
            assert layer["activation"] == "relu"
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def optimizer_of(tables, parameters, **extra):
    """The optimizer of a config's section [optimizer]."""
    options = dict(tables["optimizer"]) | extra
    kind, options["lr"] = options.pop("type"), options.pop("learning_rate")
    parameters = list(parameters)
    if parameters[0].is_cuda and kind != "sgd":
        options["capturable"] = True
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](parameters, **options)


def stepper(tables, batch, layout, compiled, device):
    """A function that runs n training steps on one batch that is on the device already."""
    torch.manual_seed(0)
    shape, classes = tables["data"]["shape"], tables["data"]["classes"]
    shape = [shape[-1], *shape[:-1]] if len(shape) == 3 else shape
    x = torch.rand([batch, *shape], device=device) * 2 - 1
    y = torch.randint(classes, [batch], device=device)
    model = network(tables).to(device)
    if layout == "channels-last" and x.dim() == 4:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    # What is compiled gets the optimizer that is one kernel, as compiling it would make it.
    optimizer = optimizer_of(tables, model.parameters(), **({"fused": True} if compiled else {}))
    loss_of = nn.CrossEntropyLoss()
    dtype = {"f32": None, "bf16": torch.bfloat16, "f16": torch.float16}[workload.precision_of(tables)]

    def forward(x, y):
        # Parameters stay f32; their rounded copies are not cached, for a captured step must make them anew.
        with torch.autocast(device, dtype=dtype, enabled=dtype is not None, cache_enabled=False):
            return loss_of(model(x), y)

    if compiled:
        # The best kernels that it finds; the capture below takes the place of its own CUDA graphs.
        mode = "max-autotune-no-cudagraphs" if device == "cuda" else "default"
        forward = torch.compile(forward, mode=mode, dynamic=False)

    def step(n):
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss = forward(x, y)
            loss.backward()
            optimizer.step()
        step.loss = loss

    return step


def captured(step):
    """The same with one step captured in a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(3)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(1)

    def replay(n):
        for _ in range(n):
            graph.replay()

    replay.loss = step.loss
    return replay


def main():
    parser = workload.parser_of(__doc__)
    parser.add_argument("--compile", action="store_true", help="through torch.compile, which can take minutes")
    parser.add_argument("--layout", choices=["both", "contiguous", "channels-last"], default="both")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = workload.parse(parser)
    torch.set_num_threads(args.threads)
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    kind = "compile" if args.compile else "eager"
    if args.device == "cuda":
        kind = "compile graph" if args.compile else "graph"
    layouts = ["contiguous", "channels-last"] if args.layout == "both" else [args.layout]
    for name, width, batch, tables in workload.runs(args):
        images = len(tables["data"]["shape"]) == 3
        # Without images there is one layout.
        for layout in layouts if images else ["contiguous"]:
            torch.compiler.reset()
            step = stepper(tables, batch, layout, args.compile, args.device)
            if args.device == "cuda":
                step = captured(step)
            times = workload.measure(args, step, wait)
            assert math.isfinite(step.loss.item())
            peer = f"pytorch {kind}" + (" channels-last" if layout == "channels-last" else "")
            precision = workload.precision_of(tables)
            workload.report(args, peer, torch.__version__, args.device, name, width, batch, precision, times)


if __name__ == "__main__":
    main()
