extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    int* b2) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float best0 = 0.0f;
  int c0 = -1;
  {
    for (int row = lane; row < 75; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (300 * g0 + r0_first));
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        if (c0 < 0 || is_first_largest(e0, best0)) {
          best0 = e0;
          c0 = (int)(r0);
        }
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_best0 = __shfl_xor_sync(0xffffffffu, best0, step);
    const int other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    if (other_c0 >= 0 && (c0 < 0 || is_first_largest(other_best0, best0) || (!(is_first_largest(best0, other_best0)) && other_c0 < c0))) {
      best0 = other_best0;
      c0 = other_c0;
    }
  }
  c0 = c0 < 0 ? 0 : c0;
  {
    const int e0 = c0;
    if (lane == 0) {
      b2[g0] = e0;
    }
  }
}
