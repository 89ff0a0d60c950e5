#!/usr/bin/env bash
# Everything there is to do on a machine with an NVIDIA GPU, from binaries built elsewhere: the suite, a training run,
# benches against peers. Ends with a short table.
#
#   scripts/gpu.sh --pack DIR        here: builds the program and the tests that use a GPU, and puts them into DIR
#   scripts/gpu.sh DIR [PYTHON]      there, from a checkout at the same path: runs them; PYTHON has torch and jax
#
# ONLY="lib conformance" runs some tests, ONLY= none; ROUNDS is for the peers (default: 3), WORKLOADS what they are
# compared on; MNIST is a folder with its files, for five epochs of it.
set -euo pipefail
cd "$(dirname "$0")/.."

TESTS="lib conformance copies golden_training hazards memory mixed_training promises random_graphs resident streaming"

if [ "${1:-}" = "--pack" ]; then
  folder="${2:?a folder for the binaries}"
  mkdir -p "$folder"
  cargo build --release -p onestep-cli
  cp target/release/onestep "$folder"
  for test in $TESTS; do
    # What the library holds besides: tests of backends from inside.
    if [ "$test" = lib ]; then which=(--lib); else which=(--test "$test"); fi
    path="$(cargo test -p onestep "${which[@]}" --no-run --message-format=json | python3 -c '
import json, sys
print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')"
    cp "$path" "$folder/$test"
  done
  strip "$folder"/*
  ls -l "$folder"
  exit
fi

folder="$(realpath "${1:?a folder that --pack filled}")"
python="${2:-python3}"
results="${RESULTS:-bench/results}"
failed=""
"$folder/onestep" devices
for test in ${ONLY-$TESTS}; do
  echo "== $test"
  if [ "$test" = lib ]; then some=(backend::); else some=(); fi
  "$folder/$test" "${some[@]}" --nocapture >"$folder/$test.log" 2>&1 || failed="$failed $test"
  grep -h "^test \|^test result\|skipped" "$folder/$test.log" || true
done
echo "== digits"
"$folder/onestep" train digits --device cuda --json --out "$(mktemp -d)/run" | tail -n 1 | tee "$folder/digits.json"
if [ -n "${MNIST:-}" ]; then
  echo "== mnist"
  "$folder/onestep" train mnist --data "$MNIST" --device cuda --allow-tf32 --batch-size 128 --epochs 5 --json \
    --out "$(mktemp -d)/run" | tail -n 1 | tee "$folder/mnist.json"
fi
echo "== peers"
export XLA_PYTHON_CLIENT_PREALLOCATE=false
# shellcheck disable=SC2086
python3 bench/compare.py ${WORKLOADS:-seed_cnn mlp small_cnn small_cnn_1k big_mlp} --device cuda --allow-tf32 \
  --rounds "${ROUNDS:-3}" --onestep "$folder/onestep" --python "$python" --csv "$results/cuda.csv" \
  | tee "$folder/compare.log"
echo "== summary"
echo "suite: ${failed:-passed}"
grep -v "^$" "$folder/compare.log"
[ -z "$failed" ]
