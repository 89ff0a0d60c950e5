#!/usr/bin/env python3
"""Compiles every .cu file of a folder with NVRTC, which needs no GPU: nvrtc.py FOLDER [ARCHITECTURE].

The library is that of the PyPI package nvidia-cuda-nvrtc-cu12 (or nvidia-cuda-nvrtc) in this Python, or the
system's. Fails if a file does not compile; exits with 3 where there is no NVRTC.
"""

import ctypes
import pathlib
import sys
import time


def library():
    for folder in sys.path:
        for path in sorted(pathlib.Path(folder).glob("nvidia/*/lib/libnvrtc.so.*")):
            return ctypes.CDLL(str(path))
    for name in ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    print("no NVRTC here: install the package nvidia-cuda-nvrtc-cu12 with this Python's pip")
    sys.exit(3)


def compile(nvrtc, path, architecture):
    """What the compiler says, and the size of the machine code (0 if it refuses)."""
    program = ctypes.c_void_p()
    source, name = path.read_bytes(), path.name.encode()
    code = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, name, 0, None, None)
    if code:
        return f"cannot create a program: error {code}", 0
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
    code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    size = ctypes.c_size_t()
    if code == 0:
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode(), size.value


def main():
    folder = pathlib.Path(sys.argv[1])
    architecture = sys.argv[2] if len(sys.argv) > 2 else "sm_90"
    files = sorted(folder.glob("*.cu"))
    if not files:
        sys.exit(f"{folder} has no .cu files: run the tests first")
    nvrtc = library()
    started, kernels, refused = time.time(), 0, 0
    for path in files:
        log, size = compile(nvrtc, path, architecture)
        kernels += path.read_text().count("__global__")
        if size == 0:
            refused += 1
            print(f"{path.name}: {log}")
    seconds = time.time() - started
    print(f"nvrtc, {architecture}: {kernels} kernels in {len(files)} files, {refused} files refused, {seconds:.0f} s")
    sys.exit(refused > 0)


main()
