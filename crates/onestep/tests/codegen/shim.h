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
#define __launch_bounds__(threads)
#define __restrict__ __restrict

struct Place {
  unsigned x;
};

static Place threadIdx, blockIdx;

struct alignas(16) float4 {
  float x, y, z, w;
};

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
