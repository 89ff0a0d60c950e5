extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    float* b6) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float c0 = __uint_as_float(0xff800000u);
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (128 * g0 + r0_first));
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        c0 = larger(c0, e0);
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = larger(c0, other_c0);
  }
  {
    const float e0 = c0;
    if (lane == 0) {
      b6[g0] = e0;
    }
  }
}

extern "C" __global__ void __launch_bounds__(128) k1(
    float* b2,
    const float* b6,
    float* b7) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 4 + thread / 32;
  const int g0 = item;
  float c0 = __uint_as_float(0xff800000u);
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 2;
      const Floats2 v0 = *reinterpret_cast<const Floats2*>(b6 + (64 * g0 + r0_first));
      #pragma unroll
      for (int part = 0; part < 2; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        c0 = larger(c0, e0);
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = larger(c0, other_c0);
  }
  float c1 = 0.0f;
  {
    const float e0 = c0;
    const float e1 = ceilf(e0);
    const bool e2 = is_finite(e1);
    const float e3 = 0.0f;
    const float e4 = e2 ? e1 : e3;
    c1 = e4;
    if (lane == 0) {
      b2[g0] = e4;
    }
  }
  {
    const float e0 = c1;
    if (lane == 0) {
      b7[g0] = e0;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) k2(
    const float* b0,
    const float* b7,
    float* b8) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item / 4;
  const int g1 = item % 4;
  float c2 = 0.0f;
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (128 * g0 + 8192 * g1 + r0_first));
      const float e1 = b7[g1];
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        const float e2 = e0 - e1;
        const float e3 = expf(e2);
        c2 = c2 + e3;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
    c2 = c2 + other_c2;
  }
  {
    const float e0 = c2;
    if (lane == 0) {
      b8[g0 + 64 * g1] = e0;
    }
  }
}

extern "C" __global__ void __launch_bounds__(128) k3(
    float* b4,
    const float* b8) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 4 + thread / 32;
  const int g0 = item;
  float c2 = 0.0f;
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 2;
      const Floats2 v0 = *reinterpret_cast<const Floats2*>(b8 + (64 * g0 + r0_first));
      #pragma unroll
      for (int part = 0; part < 2; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        c2 = c2 + e0;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
    c2 = c2 + other_c2;
  }
  {
    const float e0 = c2;
    const float e1 = 0.25f;
    const float e2 = larger(e0, e1);
    if (lane == 0) {
      b4[g0] = e2;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) k4(
    const float* b0,
    const float* b2,
    const float* b4,
    float* b5) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  const int g0 = item / 2048;
  const int g1_first = (item % 2048) * 4;
  {
    const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (8192 * g0 + g1_first));
    const float e1 = b2[g0];
    const float e4 = b4[g0];
    Floats4 s0 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g1 = g1_first + part;
      const float e0 = v0.at[part];
      const float e2 = e0 - e1;
      const float e3 = expf(e2);
      const float e5 = e3 / e4;
      s0.at[part] = e5;
    }
    *reinterpret_cast<Floats4*>(b5 + (8192 * g0 + g1_first)) = s0;
  }
}
