"""Times the workloads in JAX, one step a call (jit) and many steps a call (scan). One JSON object a line."""

import math
import os

import workload

parser = workload.parser_of(__doc__)
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
args = workload.parse(parser)
os.environ["JAX_PLATFORMS"] = args.device
if args.threads == 1:
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    )

# Reads the environment above. (This file is not called jax.py, for then it would import itself.)
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402


def initial(tables, key):
    """Each layer's weights and bias, uniform in ±1/√fan_in; images are channels-last."""
    parameters = []
    for layer, before, after in workload.layer_sizes(tables):
        if layer["type"] == "conv2d":
            shape = (layer["kernel"], layer["kernel"], before[-1], after[-1])
        elif layer["type"] == "linear":
            shape = (before[-1], after[-1])
        else:
            parameters.append(None)
            continue
        bound = 1 / math.sqrt(math.prod(shape[:-1]))
        key, w, b = jax.random.split(key, 3)
        draw = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        parameters.append((draw(w, shape), draw(b, shape[-1:])))
    return parameters


def forward(tables, parameters, x, key):
    """Logits in f32; products and convolutions take f32 masters rounded to the workload's precision."""
    dtype = {"f32": jnp.float32, "bf16": jnp.bfloat16, "f16": jnp.float16}[workload.precision_of(tables)]
    x, parameters = jax.tree.map(lambda p: p.astype(dtype), (x, parameters))
    for layer, weights in zip(tables["model"]["layers"], parameters):
        kind = layer["type"]
        if kind == "conv2d":
            pad, stride = (workload.padding(layer),) * 2, (layer.get("stride", 1),) * 2
            layout = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(x, weights[0], stride, (pad, pad), dimension_numbers=layout) + weights[1]
        elif kind == "linear":
            x = x @ weights[0] + weights[1]
        elif kind == "global_avg_pool":
            x = x.mean(axis=(1, 2))
        elif kind == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif kind == "dropout":
            key, drawn = jax.random.split(key)
            keep = 1 - layer.get("p", 0.5)
            x = jnp.where(jax.random.bernoulli(drawn, keep, x.shape), x / keep, 0)
        else:
            raise SystemExit(f"this peer does not know the layer type {kind}; add it to bench/peers/jax_jit.py")
        if layer.get("activation"):
            assert layer["activation"] == "relu"
            x = jax.nn.relu(x)
    return x.astype(jnp.float32)


def optimizer_of(tables):
    """Slots from parameters, and (parameter, gradient, slots, step) to the new parameter and slots; PyTorch's rules."""
    options = dict(tables["optimizer"])
    kind, rate = options.pop("type"), options.pop("learning_rate")
    if kind == "sgd":
        momentum = options.pop("momentum", 0.0)
        assert not options

        def update(p, g, slots, step):
            m = momentum * slots[0] + g
            return p - rate * m, (m,)

        return lambda p: (jnp.zeros_like(p),), update
    assert kind == "adam" and not options

    def update(p, g, slots, step):
        m = 0.9 * slots[0] + 0.1 * g
        v = 0.999 * slots[1] + 0.001 * g * g
        corrected = m / (1 - 0.9**step), v / (1 - 0.999**step)
        return p - rate * corrected[0] / (jnp.sqrt(corrected[1]) + 1e-8), (m, v)

    return lambda p: (jnp.zeros_like(p), jnp.zeros_like(p)), update


def stepper(tables, batch, scan):
    """A function that runs n training steps on one batch that is on the device already."""
    shape, classes = tables["data"]["shape"], tables["data"]["classes"]
    key, init, data, labels = jax.random.split(jax.random.key(0), 4)
    x = jax.random.uniform(data, (batch, *shape), minval=-1.0, maxval=1.0)
    y = jax.random.randint(labels, (batch,), 0, classes)
    slots_of, update = optimizer_of(tables)

    def loss_of(parameters, x, y, key):
        logits = jax.nn.log_softmax(forward(tables, parameters, x, key))
        return -jnp.take_along_axis(logits, y[:, None], axis=1).mean()

    def one(state, x, y):
        parameters, slots, step, key = state
        key, drawn = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y, drawn)
        leaves, tree = jax.tree.flatten(parameters)
        new = [update(p, g, s, step) for p, g, s in zip(leaves, jax.tree.leaves(gradients), slots)]
        parameters = jax.tree.unflatten(tree, [p for p, _ in new])
        return (parameters, [s for _, s in new], step + 1, key), loss

    def many(state, x, y, n):
        return lax.scan(lambda state, _: one(state, x, y), state, length=n)

    compiled = jax.jit(many, static_argnums=3, donate_argnums=0) if scan else jax.jit(one, donate_argnums=0)
    parameters = initial(tables, init)
    slots = [slots_of(p) for p in jax.tree.leaves(parameters)]
    state = (parameters, slots, jnp.float32(1), key)

    def step(n):
        if scan:
            step.state, step.loss = compiled(step.state, x, y, n)
        else:
            for _ in range(n):
                step.state, step.loss = compiled(step.state, x, y)

    step.state = state
    step.wait = lambda: jax.block_until_ready((step.state, step.loss))
    return step


def main():
    for name, width, batch, tables in workload.runs(args):
        for scan in [False, True]:
            step = stepper(tables, batch, scan)
            times = workload.measure(args, step, step.wait)
            assert math.isfinite(float(jnp.ravel(step.loss)[-1]))
            peer, device = f"jax {'scan' if scan else 'jit'}", jax.default_backend()
            precision = workload.precision_of(tables)
            workload.report(args, peer, jax.__version__, device, name, width, batch, precision, times)


if __name__ == "__main__":
    main()
