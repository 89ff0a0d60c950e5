extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    float* b3) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  const int g0 = item / 8;
  const int g1 = item % 8;
  float c0 = 0.0f;
  {
    for (int r0 = 0; r0 < 16; r0 += 1) {
      const float e0 = b0[8 * g0 + g1 + 4096 * r0];
      c0 = c0 + e0;
    }
  }
  {
    const float e0 = c0;
    b3[g0 + 512 * g1] = e0;
  }
}

extern "C" __global__ void __launch_bounds__(256) k1(
    float* b2,
    const float* b3) {
  __shared__ float shared_float0[8];
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread;
  const int item = block;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 128; row += 256) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b3 + (512 * g0 + r0_first));
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        c0 = c0 + e0;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = c0 + other_c0;
  }
  if (thread % 32 == 0) {
    shared_float0[thread / 32] = c0;
  }
  __syncthreads();
  c0 = shared_float0[0];
  for (int warp = 1; warp < 8; ++warp) {
    const float other_c0 = shared_float0[warp];
    c0 = c0 + other_c0;
  }
  __syncthreads();
  {
    const float e0 = c0;
    if (lane == 0) {
      b2[g0] = e0;
    }
  }
}
