#!/usr/bin/env python3
"""Makes the golden values in this folder: small PyTorch dumps that onestep's tests compare against.

    python make.py [FOLDER]        (default: the folder of this script)

Inputs, weights and cotangents come from a formula that Rust repeats bit for bit (all u32 arithmetic
wraps modulo 2^32, all f32 arithmetic rounds after each operation, no fused multiply-add):

    hash(seed: u32, i: u32) -> u32:
        x = i * 2654435761 + seed * 0x9E3779B9
        x ^= x >> 16;  x *= 0x85EBCA6B
        x ^= x >> 13;  x *= 0xC2B2AE35
        x ^= x >> 16
    u(seed, i)          = (hash(seed, i) >> 8) * 2^-24                      in [0, 1), exact in f32
    fill(seed, n, lo, hi)[i] = f32(lo) + (f32(hi) - f32(lo)) * u(seed, i)   each operation in f32

where i is the row-major index in onestep's layout. fill.json holds samples of both functions.

Layouts are onestep's: activations channels-last ([n, h, w, c], [n, l, c]), convolution weights
[out, kh, kw, in / groups], transposed-convolution weights [out, kh, kw, in] too, where tap (kh, kw) of
input pixel (ih, iw) adds to output pixel (ih * stride - padding + kh, ...), linear weights [out, in].

A tensor is {"shape": [..], "data": [..]} or {"shape": [..], "fill": [seed, lo, hi]}. PyTorch computes
in float64 from f32-exact inputs; results carry twelve significant digits, far finer than f32.
Padding is [[before, after], ..], one pair a spatial axis.

What it does not do: dumps of whole networks' tensors, and anything that depends on PyTorch's own
random numbers.
"""

import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

F64 = torch.float64


# ---------------------------------------------------------------- the formula


def hash_u32(seed, n):
    """hash(seed, 0..n) as a uint32 array."""
    i = np.arange(n, dtype=np.uint32)
    x = i * np.uint32(2654435761) + np.uint32(seed * 0x9E3779B9 % 2**32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def unit(seed, n):
    return (hash_u32(seed, n) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def fill_values(seed, n, lo, hi):
    lo, hi = np.float32(lo), np.float32(hi)
    values = lo + (hi - lo) * unit(seed, n)
    assert values.dtype == np.float32
    return values


class Fill:
    """A tensor named by the formula: a leaf for autograd, and its short form in the JSON."""

    def __init__(self, seed, shape, lo=-1.0, hi=1.0, dtype=F64):
        self.shape, self.seed, self.lo, self.hi = list(shape), seed, float(lo), float(hi)
        values = fill_values(seed, math.prod(self.shape), lo, hi).reshape(self.shape)
        self.tensor = torch.from_numpy(values).to(dtype)

    def json(self):
        return {"shape": self.shape, "fill": [self.seed, self.lo, self.hi]}


class Data:
    """A tensor given by its values, which must be exact in f32 or integers."""

    def __init__(self, values, dtype=F64):
        self.tensor = torch.tensor(values, dtype=dtype)
        assert not dtype.is_floating_point or torch.equal(self.tensor.float().to(dtype), self.tensor)

    def json(self):
        return data(self.tensor)


def digits(value):
    value = float(f"{float(value):.12g}")
    assert math.isfinite(value)
    return value


def data(tensor):
    flat = tensor.detach().reshape(-1).tolist()
    if tensor.dtype.is_floating_point:
        flat = [digits(v) for v in flat]
    return {"shape": list(tensor.shape), "data": flat}


def seed_of(name):
    """A case's seeds follow from its name, so that a new case leaves the others alone."""
    return zlib.crc32(name.encode()) % 1_000_000 * 10


def write(folder, name, cases):
    """A list of objects, one key a line, each value on one line."""
    compact = lambda v: json.dumps(v, separators=(",", ":"), allow_nan=False)
    objects = []
    for case in cases:
        lines = [f'  "{key}": {compact(value)}' for key, value in case.items()]
        objects.append(" {\n" + ",\n".join(lines) + "\n }")
    (folder / name).write_text("[\n" + ",\n".join(objects) + "\n]\n")


# ---------------------------------------------------------------- layers


def layer_case(name, layer, options, x, forward, params=None, buffers=None):
    """forward(x, params, buffers) -> y, on tensors in onestep's layout; buffers may change in place.

    params and buffers map a name to (shape, lo, hi); x is Fill, Data or (shape, lo, hi)."""
    seed = seed_of(name)
    if isinstance(x, tuple):
        x = Fill(seed, *x)
    params = {k: Fill(seed + 2 + i, *v) for i, (k, v) in enumerate((params or {}).items())}
    buffers = {k: Fill(seed + 6 + i, *v) for i, (k, v) in enumerate((buffers or {}).items())}
    differentiable = x.tensor.dtype.is_floating_point
    x_leaf = x.tensor.clone().requires_grad_(differentiable)
    leaves = {k: v.tensor.clone().requires_grad_() for k, v in params.items()}
    state = {k: v.tensor.clone() for k, v in buffers.items()}
    y = forward(x_leaf, leaves, state)
    g = Fill(seed + 1, y.shape)
    y.backward(g.tensor)
    case = {"name": name, "layer": layer, "options": options}
    case["params"] = {k: v.json() for k, v in params.items()}
    if buffers:
        case["buffers"] = {k: v.json() for k, v in buffers.items()}
    case |= {"x": x.json(), "y": data(y), "g": g.json()}
    if differentiable:
        case["dx"] = data(x_leaf.grad)
    case["dparams"] = {k: data(v.grad) for k, v in leaves.items()}
    if buffers and options["training"]:
        case["buffers_after"] = {k: data(v) for k, v in state.items()}
    return case


def first(x):
    """Channels-last to PyTorch's channels-first; also OHWI weights to OIHW."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def pad_spatial(x, padding, value=0.0):
    """x is channels-first, padding [[before, after], ..]; F.pad wants the last axis first."""
    return F.pad(x, [p for pair in reversed(padding) for p in pair], value=value)


def linear(name, shape, out, bias=True):
    bound = 0.5
    params = {"weight": ([out, shape[-1]], -bound, bound)}
    if bias:
        params["bias"] = ([out], -bound, bound)
    options = {"in_features": shape[-1], "out_features": out, "bias": bias}
    forward = lambda x, p, _: F.linear(x, p["weight"], p.get("bias"))
    return layer_case(name, "linear", options, (shape,), forward, params)


def conv(name, shape, out, kernel, stride=None, padding=None, dilation=None, groups=1, bias=True):
    n = len(kernel)
    stride, dilation = stride or [1] * n, dilation or [1] * n
    padding = padding or [[0, 0]] * n
    function = {1: F.conv1d, 2: F.conv2d}[n]
    params = {"weight": ([out, *kernel, shape[-1] // groups], -0.5, 0.5)}
    if bias:
        params["bias"] = ([out], -0.5, 0.5)
    options = {
        "in_channels": shape[-1], "out_channels": out, "kernel": kernel, "stride": stride,
        "padding": padding, "dilation": dilation, "groups": groups, "bias": bias,
    }

    def forward(x, p, _):
        x = pad_spatial(first(x), padding)
        return last(function(x, first(p["weight"]), p.get("bias"), stride, 0, dilation, groups))

    return layer_case(name, f"conv{n}d", options, (shape,), forward, params)


def conv_transpose2d(name, shape, out, kernel, stride, padding, output_padding):
    """PyTorch's weights are [in, out, kh, kw]; padding here is PyTorch's, what it crops."""
    params = {"weight": ([out, *kernel, shape[-1]], -0.5, 0.5), "bias": ([out], -0.5, 0.5)}
    options = {
        "in_channels": shape[-1], "out_channels": out, "kernel": kernel, "stride": stride,
        "padding": [[p, p] for p in padding], "output_padding": output_padding,
        "dilation": [1, 1], "groups": 1, "bias": True,
    }

    def forward(x, p, _):
        weight = p["weight"].permute(3, 0, 1, 2)
        return last(F.conv_transpose2d(first(x), weight, p["bias"], stride, padding, output_padding))

    return layer_case(name, "conv_transpose2d", options, (shape,), forward, params)


def pool(name, layer, shape, kernel, stride, padding, **extra):
    options = {"kernel": kernel, "stride": stride, "padding": [[p, p] for p in padding], **extra}
    function = {"max_pool2d": F.max_pool2d, "avg_pool2d": F.avg_pool2d}[layer]
    forward = lambda x, *_: last(function(first(x), kernel, stride, padding, **extra))
    return layer_case(name, layer, options, (shape,), forward)


def batch_norm(name, layer, shape, training):
    c = [shape[-1]]
    options = {"features": c[0], "eps": 1e-5, "momentum": 0.1, "training": training}
    params = {"weight": (c, 0.5, 1.5), "bias": (c, -0.5, 0.5)}
    buffers = {"running_mean": (c, -0.5, 0.5), "running_var": (c, 0.5, 2.0)}

    def forward(x, p, b):
        return last(F.batch_norm(first(x), b["running_mean"], b["running_var"], p["weight"], p["bias"],
                                 training, 0.1, 1e-5))

    return layer_case(name, layer, options, (shape, -1.0, 2.0), forward, params, buffers)


def layer_norm(name, shape):
    c = [shape[-1]]
    options = {"features": c[0], "eps": 1e-5}
    forward = lambda x, p, _: F.layer_norm(x, c, p["weight"], p["bias"], 1e-5)
    params = {"weight": (c, 0.5, 1.5), "bias": (c, -0.5, 0.5)}
    return layer_case(name, "layer_norm", options, (shape, -1.0, 2.0), forward, params)


def embedding(name, vocabulary, width, indices):
    options = {"vocabulary": vocabulary, "width": width}
    forward = lambda x, p, _: F.embedding(x, p["weight"])
    params = {"weight": ([vocabulary, width], -1.0, 1.0)}
    return layer_case(name, "embedding", options, Data(indices, torch.int64), forward, params)


def activations():
    """Each over [-8, 8], which reaches every branch; the smooth ones also far out, where a naive
    formula overflows."""
    table = [
        ("relu", "relu", {}, F.relu, False),
        ("leaky_relu", "leaky_relu", {"negative_slope": 0.01}, lambda x: F.leaky_relu(x, 0.01), False),
        ("elu", "elu", {"alpha": 1.0}, F.elu, True),
        ("selu", "selu", {}, F.selu, True),
        ("gelu", "gelu", {"approximate": "none"}, F.gelu, True),
        ("gelu_tanh", "gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh"), True),
        ("silu", "silu", {}, F.silu, True),
        ("mish", "mish", {}, F.mish, True),
        ("sigmoid", "sigmoid", {}, torch.sigmoid, True),
        ("tanh", "tanh", {}, torch.tanh, True),
        ("softplus", "softplus", {}, softplus, True),
        ("hardswish", "hardswish", {}, F.hardswish, False),
        ("hardsigmoid", "hardsigmoid", {}, F.hardsigmoid, False),
        ("relu6", "relu6", {}, F.relu6, False),
        ("softmax", "softmax", {"axis": -1}, lambda x: F.softmax(x, -1), True),
        ("log_softmax", "log_softmax", {"axis": -1}, lambda x: F.log_softmax(x, -1), True),
    ]
    far = [[-200.0, -100.0, -50.0, -20.5, -10.0], [100.0, 200.0, 20.5, 10.0, 50.0]]
    for name, layer, options, function, smooth in table:
        forward = lambda x, *_: function(x)
        yield layer_case(name, layer, options, ([3, 8], -8.0, 8.0), forward)
        if smooth:
            yield layer_case(f"{name}_far", layer, options, Data(far), forward)


def softplus(x):
    """PyTorch returns x itself beyond its threshold of 20; raised here, so that the value is exact."""
    return F.softplus(x, threshold=500.0)


def layers():
    same, none = [[1, 1], [1, 1]], [[0, 0], [0, 0]]
    image = [2, 5, 6, 3]
    average, top = "avg_pool2d", "max_pool2d"
    return [
        linear("linear", [3, 5], 4),
        linear("linear_no_bias", [3, 5], 4, bias=False),
        linear("linear_rank3", [2, 3, 5], 4),
        conv("conv2d_3x3_pad1", image, 4, [3, 3], padding=same),
        conv("conv2d_3x3_pad1_no_bias", image, 4, [3, 3], padding=same, bias=False),
        conv("conv2d_3x3_stride2_pad1", [2, 6, 7, 3], 4, [3, 3], [2, 2], same),
        conv("conv2d_3x3_stride2_same", [2, 6, 8, 3], 4, [3, 3], [2, 2], [[0, 1], [0, 1]]),
        conv("conv2d_3x3_valid", image, 4, [3, 3], padding=none),
        conv("conv2d_3x3_dilation2", [2, 6, 7, 3], 4, [3, 3], padding=[[2, 2], [2, 2]], dilation=[2, 2]),
        conv("conv2d_3x3_groups2", [2, 5, 4, 4], 6, [3, 3], padding=same, groups=2),
        conv("conv2d_3x3_depthwise", [2, 5, 5, 4], 4, [3, 3], padding=same, groups=4),
        conv("conv2d_1x1", image, 4, [1, 1]),
        conv("conv2d_3x3_stride2x1", [2, 6, 5, 3], 4, [3, 3], [2, 1], same),
        conv("conv2d_2x4_even", image, 4, [2, 4], padding=[[0, 1], [1, 2]]),
        conv("conv1d_3_stride2_pad1", [2, 9, 3], 4, [3], [2], [[1, 1]]),
        conv_transpose2d("conv_transpose2d_stride2", [2, 3, 4, 3], 2, [3, 3], [2, 2], [1, 1], [0, 0]),
        conv_transpose2d("conv_transpose2d_stride2_output_padding1",
                         [2, 3, 3, 3], 2, [3, 3], [2, 2], [1, 1], [1, 1]),
        pool("max_pool2d_2x2", top, [2, 4, 6, 3], [2, 2], [2, 2], [0, 0]),
        pool("max_pool2d_3x3_stride2_pad1", top, image, [3, 3], [2, 2], [1, 1]),
        pool("avg_pool2d_2x2", average, [2, 4, 6, 3], [2, 2], [2, 2], [0, 0], count_include_pad=True),
        pool("avg_pool2d_3x3_stride2_pad1_include", average, image, [3, 3], [2, 2], [1, 1],
             count_include_pad=True),
        pool("avg_pool2d_3x3_stride2_pad1_exclude", average, image, [3, 3], [2, 2], [1, 1],
             count_include_pad=False),
        layer_case("global_avg_pool2d", "global_avg_pool2d", {}, (image,),
                   lambda x, *_: F.adaptive_avg_pool2d(first(x), 1).flatten(1)),
        batch_norm("batch_norm1d_training", "batch_norm1d", [6, 3], True),
        batch_norm("batch_norm1d_eval", "batch_norm1d", [6, 3], False),
        batch_norm("batch_norm2d_training", "batch_norm2d", [2, 3, 4, 3], True),
        batch_norm("batch_norm2d_eval", "batch_norm2d", [2, 3, 4, 3], False),
        layer_norm("layer_norm", [2, 3, 8]),
        embedding("embedding", 7, 4, [[3, 0, 6, 3, 1], [2, 3, 6, 0, 0]]),
        *activations(),
    ]


# ---------------------------------------------------------------- losses


def loss_case(name, loss, options, x, target, function):
    """function(x, target) -> scalar, the mean; x is Fill, Data or (shape, lo, hi)."""
    if isinstance(x, tuple):
        x = Fill(seed_of(name), *x)
    if isinstance(target, tuple):
        target = Fill(seed_of(name) + 1, *target)
    leaf = x.tensor.clone().requires_grad_()
    value = function(leaf, target.tensor)
    value.backward()
    return {
        "name": name, "loss": loss, "options": options, "input": x.json(), "target": target.json(),
        "value": digits(value.item()), "dinput": data(leaf.grad),
    }


def losses():
    sparse, dense, binary = "sparse_cross_entropy", "dense_cross_entropy", "bce_with_logits"
    labels = lambda values: Data(values, torch.int64)
    logits = ([5, 7], -3.0, 3.0)
    shares = [[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.25] * 4,
              [0.0625, 0.1875, 0.75, 0.0], [0.375, 0.0, 0.5, 0.125]]
    pos_weight = [0.5, 1.0, 2.0, 3.5]
    weighted = lambda x, t: F.binary_cross_entropy_with_logits(
        x, t, pos_weight=torch.tensor(pos_weight, dtype=F64))
    zero_one = Data([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    far = [[100.0, -100.0, 0.0, 50.0], [-100.0, -100.0, 100.0, 100.0], [-100.0, -99.0, -98.0, -100.0]]
    pair = (([4, 3], -2.0, 2.0), ([4, 3], -2.0, 2.0))
    return [
        loss_case(sparse, sparse, {}, logits, labels([0, 6, 3, 3, 1]), F.cross_entropy),
        loss_case(f"{sparse}_label_smoothing", sparse, {"label_smoothing": 0.1}, logits,
                  labels([2, 6, 0, 5, 1]), lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1)),
        loss_case(f"{sparse}_ignore_index", sparse, {"ignore_index": -100}, logits,
                  labels([2, -100, 0, 5, -100]), F.cross_entropy),
        loss_case(f"{sparse}_ignore_class", sparse, {"ignore_index": 0}, logits,
                  labels([2, 0, 4, 5, 6]), lambda x, t: F.cross_entropy(x, t, ignore_index=0)),
        loss_case(f"{sparse}_large_logits", sparse, {}, Data(far), labels([1, 2, 0]), F.cross_entropy),
        loss_case(dense, dense, {}, ([5, 4], -3.0, 3.0), Data(shares), F.cross_entropy),
        loss_case(f"{dense}_label_smoothing", dense, {"label_smoothing": 0.1}, ([5, 4], -3.0, 3.0),
                  Data(shares), lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1)),
        loss_case(binary, binary, {}, ([3, 4], -3.0, 3.0), zero_one, F.binary_cross_entropy_with_logits),
        loss_case(f"{binary}_soft_targets", binary, {}, ([3, 4], -3.0, 3.0), ([3, 4], 0.0, 1.0),
                  F.binary_cross_entropy_with_logits),
        loss_case(f"{binary}_pos_weight", binary, {"pos_weight": pos_weight}, ([3, 4], -3.0, 3.0),
                  zero_one, weighted),
        loss_case(f"{binary}_large_logits", binary, {}, Data(far), zero_one,
                  F.binary_cross_entropy_with_logits),
        loss_case("mse", "mse", {}, *pair, F.mse_loss),
        loss_case("l1", "l1", {}, *pair, F.l1_loss),
        loss_case("huber", "huber", {"delta": 1.0}, *pair, F.huber_loss),
        loss_case("huber_delta_half", "huber", {"delta": 0.5}, *pair,
                  lambda x, t: F.huber_loss(x, t, delta=0.5)),
        loss_case("smooth_l1", "smooth_l1", {"beta": 1.0}, *pair, F.smooth_l1_loss),
        loss_case("smooth_l1_beta_half", "smooth_l1", {"beta": 0.5}, *pair,
                  lambda x, t: F.smooth_l1_loss(x, t, beta=0.5)),
    ]


# ---------------------------------------------------------------- optimizers


def optimizer_case(name, optimizer, torch_class, options, clip_grad_norm=None, clip_grad_value=None):
    """Ten steps (t = 0..9); the gradient of parameter k at step t is fill(1000 + 10 t + k, -1, 1)."""
    fills = [Fill(1, [3, 4]), Fill(2, [5])]
    params = [f.tensor.clone().requires_grad_() for f in fills]
    torch_optimizer = torch_class(params, **options)
    steps = []
    for t in range(10):
        for k, p in enumerate(params):
            p.grad = Fill(1000 + 10 * t + k, p.shape).tensor.clone()
        if clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(params, clip_grad_norm)
        if clip_grad_value is not None:
            torch.nn.utils.clip_grad_value_(params, clip_grad_value)
        torch_optimizer.step()
        steps.append([data(p)["data"] for p in params])
    written = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    if clip_grad_norm is not None:
        written["clip_grad_norm"] = clip_grad_norm
    if clip_grad_value is not None:
        written["clip_grad_value"] = clip_grad_value
    return {"name": name, "optimizer": optimizer, "options": written,
            "params": [f.json() for f in fills], "steps": steps}


def optimizers():
    o = torch.optim
    adam = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    sgd = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
    rms = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False}
    grad = {"lr": 0.1, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10}
    delta = {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0}
    nadam = adam | {"momentum_decay": 0.004}
    case = optimizer_case
    return [
        case("sgd", "sgd", o.SGD, sgd),
        case("sgd_momentum", "sgd", o.SGD, sgd | {"momentum": 0.9}),
        case("sgd_nesterov", "sgd", o.SGD, sgd | {"momentum": 0.9, "nesterov": True}),
        case("sgd_weight_decay", "sgd", o.SGD, sgd | {"momentum": 0.9, "weight_decay": 0.1}),
        case("sgd_dampening", "sgd", o.SGD, sgd | {"momentum": 0.9, "dampening": 0.5}),
        case("sgd_clip_grad_norm", "sgd", o.SGD, sgd, clip_grad_norm=2.4),
        case("sgd_clip_grad_value", "sgd", o.SGD, sgd, clip_grad_value=0.1),
        case("adam", "adam", o.Adam, adam),
        case("adam_weight_decay", "adam", o.Adam, adam | {"weight_decay": 0.1}),
        case("adam_amsgrad", "adam", o.Adam, adam | {"amsgrad": True, "betas": (0.9, 0.9)}),
        case("adam_clip_grad_norm", "adam", o.Adam, adam, clip_grad_norm=0.5),
        case("adam_clip_grad_value", "adam", o.Adam, adam, clip_grad_value=0.1),
        case("adamw", "adamw", o.AdamW, adam | {"weight_decay": 0.01}),
        case("rmsprop", "rmsprop", o.RMSprop, rms),
        case("rmsprop_centered", "rmsprop", o.RMSprop, rms | {"centered": True}),
        case("rmsprop_momentum", "rmsprop", o.RMSprop, rms | {"momentum": 0.9}),
        case("adagrad", "adagrad", o.Adagrad, grad),
        case("adadelta", "adadelta", o.Adadelta, delta),
        case("adamax", "adamax", o.Adamax, adam),
        case("nadam", "nadam", o.NAdam, nadam),
        case("radam", "radam", o.RAdam, adam),
    ]


# ---------------------------------------------------------------- schedules


def scheduler_rates(make):
    """Rates of steps 0..40 under a torch scheduler whose optimizer has lr 0.1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for t in range(41):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if t < 40:
            scheduler.step()
    return rates


def warmup_cosine(t, base=0.1, minimum=1e-5, warmup=8, total=40):
    if t < warmup:
        return base * (t + 1) / warmup
    progress = (t - warmup) / (total - warmup)
    return minimum + (base - minimum) * (1 + math.cos(math.pi * progress)) / 2


def schedules():
    s = torch.optim.lr_scheduler
    cycle = {"max_lr": 0.1, "total_steps": 41, "pct_start": 0.3, "anneal_strategy": "cos",
             "div_factor": 25.0, "final_div_factor": 1e4}
    warm = {"lr": 0.1, "minimum": 1e-5, "warmup": 8, "total_steps": 40}
    rows = [
        ("constant", {"lr": 0.1}, [0.1] * 41),
        ("step", {"lr": 0.1, "step_size": 10, "gamma": 0.5}, lambda o: s.StepLR(o, 10, 0.5)),
        ("multi_step", {"lr": 0.1, "milestones": [5, 12, 30], "gamma": 0.1},
         lambda o: s.MultiStepLR(o, [5, 12, 30], 0.1)),
        ("exponential", {"lr": 0.1, "gamma": 0.95}, lambda o: s.ExponentialLR(o, 0.95)),
        ("cosine", {"lr": 0.1, "minimum": 1e-5, "total_steps": 40},
         lambda o: s.CosineAnnealingLR(o, 40, 1e-5)),
        ("polynomial", {"lr": 0.1, "total_steps": 40, "power": 2.0}, lambda o: s.PolynomialLR(o, 40, 2.0)),
        ("one_cycle", cycle, lambda o: s.OneCycleLR(o, cycle_momentum=False, **cycle)),
        ("warmup_cosine", warm, [warmup_cosine(t) for t in range(41)]),
    ]
    cases = []
    for name, options, rates in rows:
        rates = scheduler_rates(rates) if callable(rates) else rates
        cases.append({"name": name, "schedule": name, "options": options, "rates": [digits(r) for r in rates]})
    return cases


# ---------------------------------------------------------------- whole training runs

# A network is its parameter shapes in order (weight and bias of each layer: k = 0, 1, 2, ..) and a
# forward function. Fan-in is the product of all weight axes but the first; the bias has its layer's.


def mlp(p, x, _mask):
    x = F.relu(F.linear(x, p["fc1.weight"], p["fc1.bias"]))
    x = F.relu(F.linear(x, p["fc2.weight"], p["fc2.bias"]))
    return F.linear(x, p["fc3.weight"], p["fc3.bias"])


def conv_relu(p, name, x, stride=1):
    return F.relu(F.conv2d(x, first(p[f"{name}.weight"]), p[f"{name}.bias"], stride, 1))


def small_cnn(p, x, mask):
    x = conv_relu(p, "conv1", first(x))
    x = conv_relu(p, "conv2", x, 2)
    x = conv_relu(p, "conv3", x)
    x = last(conv_relu(p, "conv4", x, 2)).flatten(1)  # features in h, w, c order
    x = F.relu(F.linear(x, p["fc1.weight"], p["fc1.bias"])) * mask
    return F.linear(x, p["fc2.weight"], p["fc2.bias"])


def seed_cnn(p, x, _mask):
    x = conv_relu(p, "conv1", first(x)).mean((2, 3))
    return F.linear(x, p["fc1.weight"], p["fc1.bias"])


def initial(weights):
    """{name: Fill} of every weight and its bias, in f32; fill(10 + k, -b, b), b = f32(1 / sqrt(fan_in))."""
    fills = {}
    for name, shape in weights.items():
        bound = float(np.float32(1.0 / math.sqrt(math.prod(shape[1:]))))
        for kind, dims in (("weight", shape), ("bias", shape[:1])):
            fills[f"{name}.{kind}"] = Fill(10 + len(fills), dims, -bound, bound)
    return fills


def labels_of(step, batch, classes):
    """floor(u(200 + t, i) * classes), exactly: (hash >> 8) * classes >> 24 in u32."""
    return torch.from_numpy(((hash_u32(200 + step, batch) >> 8).astype(np.int64) * classes) >> 24)


def train(fills, forward, x_shape, classes, make_optimizer, dropout_shape, dtype):
    params = {k: f.tensor.to(dtype, copy=True).requires_grad_() for k, f in fills.items()}
    optimizer = make_optimizer(list(params.values()))
    losses = []
    for t in range(10):
        x = Fill(100 + t, x_shape, 0.0, 1.0, dtype).tensor
        mask = None
        if dropout_shape:
            keep = unit(300 + t, math.prod(dropout_shape)) < 0.5
            mask = torch.from_numpy(keep.reshape(dropout_shape)).to(dtype) * 2
        loss = F.cross_entropy(forward(params, x, mask), labels_of(t, x_shape[0], classes))
        losses.append(digits(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses, {k: p.detach().to(F64) for k, p in params.items()}


def training_case(name, forward, weights, x_shape, classes, optimizer, dropout_shape=None):
    kind, options, make_optimizer = optimizer
    fills = initial(weights)
    args = (fills, forward, x_shape, classes, make_optimizer, dropout_shape)
    losses_f64, after_f64 = train(*args, F64)
    losses_f32, after_f32 = train(*args, torch.float32)
    case = {"name": name, "optimizer": kind, "options": options,
            "x": {"shape": x_shape, "first_seed": 100, "lo": 0.0, "hi": 1.0},
            "labels": {"classes": classes, "first_seed": 200, "step0": labels_of(0, x_shape[0], classes).tolist()}}
    if dropout_shape:
        case["dropout"] = {"shape": dropout_shape, "first_seed": 300, "probability": 0.5}
    case |= {"losses_f64": losses_f64, "losses_f32": losses_f32}
    case["params"] = {k: f.json() for k, f in fills.items()}
    for label, after in (("f64", after_f64), ("f32", after_f32)):
        case[f"sums_{label}"] = {k: digits(p.sum()) for k, p in after.items()}
        case[f"sums_of_squares_{label}"] = {k: digits(p.square().sum()) for k, p in after.items()}
    return case


def training():
    adam = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
    sgd = {"lr": 0.01, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
    with_adam = ("adam", adam, lambda p: torch.optim.Adam(p, lr=1e-3))
    with_sgd = ("sgd", sgd, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9))
    image = [32, 32, 32, 3]
    return [
        training_case("mlp", mlp, {"fc1": [128, 784], "fc2": [64, 128], "fc3": [10, 64]},
                      [32, 784], 10, with_adam),
        training_case("small_cnn", small_cnn,
                      {"conv1": [32, 3, 3, 3], "conv2": [32, 3, 3, 32], "conv3": [64, 3, 3, 32],
                       "conv4": [64, 3, 3, 64], "fc1": [128, 8 * 8 * 64], "fc2": [10, 128]},
                      image, 10, with_adam, [32, 128]),
        training_case("seed_cnn", seed_cnn, {"conv1": [8, 3, 3, 3], "fc1": [2, 8]}, image, 2, with_sgd),
    ]


# ---------------------------------------------------------------- samples of the formula


def fills():
    cases = []
    for seed, lo, hi in [(0, 0.0, 1.0), (1, -1.0, 1.0), (10, -0.1, 0.3), (123456, -8.0, 8.0)]:
        # Written in full: these are compared bit for bit.
        values = [float(v) for v in fill_values(seed, 16, lo, hi)]
        cases.append({"seed": seed, "lo": lo, "hi": hi, "hash": hash_u32(seed, 16).tolist(), "values": values})
    return cases


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for make in (fills, layers, losses, optimizers, schedules, training):
        name = {"fills": "fill"}.get(make.__name__, make.__name__)
        write(folder, f"{name}.json", make())


if __name__ == "__main__":
    main()
