extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    float* b3) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int r0 = 0; r0 < 16; r0 += 1) {
      const float e0 = b0[g0 + 4096 * r0];
      c0 = c0 + e0;
    }
  }
  {
    const float e0 = c0;
    b3[g0] = e0;
  }
}

extern "C" __global__ void __launch_bounds__(256) k1(
    float* b2,
    const float* b3) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 512; row += 32) {
      const int r0 = row;
      const float e0 = b3[g0 + 8 * r0];
      c0 = c0 + e0;
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = c0 + other_c0;
  }
  {
    const float e0 = c0;
    if (lane == 0) {
      b2[g0] = e0;
    }
  }
}
