#!/usr/bin/env python3
"""Writes images.idx.gz and labels.idx.gz from scikit-learn's digits.csv.gz.

    pip download scikit-learn --no-deps && unzip scikit_learn-*.whl sklearn/datasets/data/digits.csv.gz
    python3 make.py sklearn/datasets/data/digits.csv.gz

Each row of the table is 64 pixels of 0..16, row by row, and the digit. The two CRC-32s printed are of
the pixels and of the labels; the test of `datasets::digits` holds them.
"""
import gzip
import pathlib
import struct
import sys
import zlib


def write_idx(name, extents, data):
    header = struct.pack(">BBBB", 0, 0, 0x08, len(extents)) + struct.pack(f">{len(extents)}I", *extents)
    path = pathlib.Path(__file__).with_name(name)
    path.write_bytes(gzip.compress(header + data, compresslevel=9, mtime=0))
    print(f"{name}: {path.stat().st_size} bytes, data CRC-32 {zlib.crc32(data):#010x}")


with gzip.open(sys.argv[1], "rt") as table:
    rows = [[int(field) for field in line.split(",")] for line in table]
assert all(len(row) == 65 and max(row[:64]) <= 16 and row[64] <= 9 for row in rows)
write_idx("images.idx.gz", (len(rows), 8, 8), bytes(pixel for row in rows for pixel in row[:64]))
write_idx("labels.idx.gz", (len(rows),), bytes(row[64] for row in rows))
