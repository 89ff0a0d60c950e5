// Runs kernels of generated CUDA C++ on the host, one block after the other. The threads of a block are
// fibers that take turns: each runs up to its next barrier, so a round over all of them is the barrier.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct Place {
  unsigned x;
};

static Place threadIdx, blockIdx;

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

struct alignas(8) uint2 {
  unsigned x, y;
};

struct alignas(8) float2 {
  float x, y;
};

struct alignas(16) float4 {
  float x, y, z, w;
};

static inline float2 make_float2(float x, float y) {
  return {x, y};
}

static inline float4 make_float4(float x, float y, float z, float w) {
  return float4{x, y, z, w};
}

static inline int min(int a, int b) {
  return a < b ? a : b;
}

static inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return bits;
}

static inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned)(((uint64_t)a * b) >> 32);
}

static inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}

namespace host {
const int MOST = 1024;
const size_t STACK = 64 << 10;
ucontext_t scheduler, fibers[MOST];
bool done[MOST];
char* stacks[MOST];
int running;
unsigned slots[MOST];
const char* rows[MOST];
unsigned fragments[MOST][6];
void (*body)(void*);
void* argument;

void wait() {
  swapcontext(&fibers[running], &scheduler);
  threadIdx.x = running;
}

void enter() {
  body(argument);
  done[running] = true;
  swapcontext(&fibers[running], &scheduler);
}

void block_of_fibers(int threads) {
  for (int t = 0; t < threads; ++t) {
    if (!stacks[t]) stacks[t] = (char*)malloc(STACK);
    done[t] = false;
    getcontext(&fibers[t]);
    fibers[t].uc_stack.ss_sp = stacks[t];
    fibers[t].uc_stack.ss_size = STACK;
    fibers[t].uc_link = nullptr;
    makecontext(&fibers[t], enter, 0);
  }
  for (;;) {
    int finished = 0;
    for (int t = 0; t < threads; ++t) {
      running = t;
      threadIdx.x = t;
      swapcontext(&scheduler, &fibers[t]);
      finished += done[t];
    }
    if (finished == threads) return;
    if (finished) {
      fprintf(stderr, "some threads of a block wait at a barrier that others never reach\n");
      exit(1);
    }
  }
}

// Runs `kernel()` for every thread of every block.
template <typename Kernel> void launch(unsigned blocks, int threads, bool barriers, Kernel kernel) {
  argument = &kernel;
  body = [](void* k) { (*(Kernel*)k)(); };
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx.x = b;
    if (barriers) {
      block_of_fibers(threads);
      continue;
    }
    for (int t = 0; t < threads; ++t) {
      threadIdx.x = t;
      kernel();
    }
  }
}

// Memory of a device: aligned as devices align it.
inline char* memory(size_t bytes) {
  char* p = (char*)aligned_alloc(256, (bytes + 511) / 256 * 256);
  memset(p, 0xa5, bytes);
  return p;
}

inline char* filled(size_t bytes, FILE* from) {
  char* p = memory(bytes);
  if (fread(p, 1, bytes, from) != bytes) exit(2);
  return p;
}
}  // namespace host

static inline void __syncthreads() {
  host::wait();
}

static inline void __syncwarp() {
  host::wait();
}

template <typename T> T __shfl_xor_sync(unsigned, T value, int distance) {
  const int me = host::running;
  memcpy(&host::slots[me], &value, 4);
  host::wait();
  T other;
  memcpy(&other, &host::slots[me ^ distance], 4);
  host::wait();
  return other;
}

// What matrix units do: the lanes of a warp show each other what they hold, and each works out its part.
static inline void load_matrices(unsigned (&to)[4], const void* row) {
  const int lane = host::running % 32, first = host::running - lane;
  host::rows[host::running] = (const char*)row;
  host::wait();
  for (int i = 0; i < 4; ++i) memcpy(&to[i], host::rows[first + i * 8 + lane / 4] + lane % 4 * 4, 4);
  host::wait();
}

static inline void load_transposed(unsigned (&to)[4], const void* row) {
  const int lane = host::running % 32, first = host::running - lane;
  host::rows[host::running] = (const char*)row;
  host::wait();
  for (int i = 0; i < 4; ++i) {
    unsigned short pair[2];
    for (int j = 0; j < 2; ++j) {
      memcpy(&pair[j], host::rows[first + i * 8 + lane % 4 * 2 + j] + lane / 4 * 2, 2);
    }
    memcpy(&to[i], pair, 4);
  }
  host::wait();
}

namespace host {
float as_bf16(unsigned bits) {
  return __uint_as_float(bits << 16);
}

float as_f16(unsigned bits) {
  const float magnitude = ldexpf((float)(bits & 0x3ff), -24);
  const unsigned exponent = bits >> 10 & 31;
  float value = magnitude;
  if (exponent == 31) value = bits & 0x3ff ? NAN : INFINITY;
  else if (exponent) value = ldexpf((float)(1024 + (bits & 0x3ff)), (int)exponent - 25);
  return bits & 0x8000 ? -value : value;
}

// The element of a fragment that a lane holds, each register holding `in_word` of them.
float element(int thread, int word, int part, int in_word, float (*read)(unsigned)) {
  const unsigned bits = fragments[thread][word];
  return in_word == 1 ? __uint_as_float(bits) : read(part ? bits >> 16 : bits & 0xffffu);
}

void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, int in_word, float (*read)(unsigned)) {
  const int lane = running % 32, first = running - lane;
  memcpy(fragments[running], a, 16);
  fragments[running][4] = b0;
  fragments[running][5] = b1;
  wait();
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 8 * in_word; ++k) {
      const int half = k / (4 * in_word), owner = k / in_word % 4, part = k % in_word;
      const float x = element(first + row % 8 * 4 + owner, half * 2 + row / 8, part, in_word, read);
      const float y = element(first + column * 4 + owner, 4 + half, part, in_word, read);
      sum[i] += x * y;
    }
  }
  wait();
}
}  // namespace host

static inline void multiply_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  const unsigned kept = 0xffffe000u, left[4] = {a[0] & kept, a[1] & kept, a[2] & kept, a[3] & kept};
  host::multiply(sum, left, b0 & kept, b1 & kept, 1, nullptr);
}

static inline void multiply_bf16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  host::multiply(sum, a, b0, b1, 2, host::as_bf16);
}

static inline void multiply_f16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  host::multiply(sum, a, b0, b1, 2, host::as_f16);
}
