extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    const float* b1,
    const float* b2,
    float* b4,
    float* b6,
    float* b11,
    float* b13) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 48; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
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
  float c1 = 0.0f;
  {
    const float e0 = c0;
    const float e1 = 192.0f;
    const float e2 = e0 / e1;
    c1 = e2;
    if (lane == 0) {
      b4[g0] = e2;
    }
  }
  float c2 = 0.0f;
  float c3 = 0.0f;
  {
    for (int row = lane; row < 48; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
      const float e1 = c1;
      const Floats4 v4 = *reinterpret_cast<const Floats4*>(b2 + (192 * g0 + r0_first));
      const Floats4 v5 = *reinterpret_cast<const Floats4*>(b1 + (r0_first));
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        const float e2 = e0 - e1;
        const float e3 = e2 * e2;
        const float e4 = v4.at[part];
        const float e5 = v5.at[part];
        const float e6 = e4 * e5;
        const float e7 = e6 * e2;
        c2 = c2 + e3;
        c3 = c3 + e7;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
    c2 = c2 + other_c2;
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c3 = __shfl_xor_sync(0xffffffffu, c3, step);
    c3 = c3 + other_c3;
  }
  float c4 = 0.0f;
  float c5 = 0.0f;
  {
    const float e0 = c2;
    const float e1 = 192.0f;
    const float e2 = e0 / e1;
    const float e3 = 1e-5f;
    const float e4 = e2 + e3;
    const float e5 = rsqrtf(e4);
    const float e6 = c3;
    const float e7 = e5 * e5;
    const float e8 = e7 * e5;
    const float e9 = -0.5f;
    const float e10 = e8 * e9;
    const float e11 = e6 * e10;
    const float e12 = e11 / e1;
    c4 = e5;
    c5 = e12;
    if (lane == 0) {
      b6[g0] = e5;
    }
  }
  float c6 = 0.0f;
  {
    for (int row = lane; row < 48; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b2 + (192 * g0 + r0_first));
      const Floats4 v1 = *reinterpret_cast<const Floats4*>(b1 + (r0_first));
      const float e3 = c4;
      const float e5 = c5;
      const Floats4 v6 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
      const float e7 = c1;
      Floats4 s0 = Floats4{};
      #pragma unroll
      for (int part = 0; part < 4; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = v0.at[part];
        const float e1 = v1.at[part];
        const float e2 = e0 * e1;
        const float e4 = e2 * e3;
        const float e6 = v6.at[part];
        const float e8 = e6 - e7;
        const float e9 = e5 * e8;
        const float e10 = e4 + e9;
        const float e11 = e10 + e9;
        const float e12 = -e11;
        s0.at[part] = e11;
        c6 = c6 + e12;
      }
      *reinterpret_cast<Floats4*>(b11 + (192 * g0 + r0_first)) = s0;
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c6 = __shfl_xor_sync(0xffffffffu, c6, step);
    c6 = c6 + other_c6;
  }
  {
    const float e0 = c6;
    const float e1 = 192.0f;
    const float e2 = e0 / e1;
    if (lane == 0) {
      b13[g0] = e2;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) k1(
    const float* b11,
    const float* b13,
    float* b15) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  const int g0 = item / 192;
  const int g1 = item % 192;
  {
    const float e0 = b11[192 * g0 + g1];
    const float e1 = b13[g0];
    const float e2 = e0 + e1;
    b15[192 * g0 + g1] = e2;
  }
}

extern "C" __global__ void __launch_bounds__(256) k2(
    const float* b0,
    const float* b1,
    const float* b2,
    const float* b4,
    const float* b6,
    float* b17) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 2;
      const Floats2 v1 = *reinterpret_cast<const Floats2*>(b4 + (r0_first));
      const Floats2 v3 = *reinterpret_cast<const Floats2*>(b6 + (r0_first));
      const float e5 = b1[g0];
      #pragma unroll
      for (int part = 0; part < 2; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = b0[g0 + 192 * r0];
        const float e1 = v1.at[part];
        const float e2 = e0 - e1;
        const float e3 = v3.at[part];
        const float e4 = e2 * e3;
        const float e6 = e4 * e5;
        const float e7 = b2[g0 + 192 * r0];
        const float e8 = e6 * e7;
        c0 = c0 + e8;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = c0 + other_c0;
  }
  {
    const float e0 = c0;
    if (lane == 0) {
      b17[g0] = e0;
    }
  }
}

extern "C" __global__ void __launch_bounds__(32) k3(
    float* b14,
    const float* b17) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block + thread / 32;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 48; row += 32) {
      const int r0_first = row * 4;
      const Floats4 v0 = *reinterpret_cast<const Floats4*>(b17 + (r0_first));
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
  {
    const float e0 = c0;
    if (lane == 0) {
      b14[0] = e0;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) k4(
    const float* b0,
    const float* b2,
    const float* b4,
    const float* b6,
    float* b16) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int lane = thread % 32;
  const int item = block * 8 + thread / 32;
  const int g0 = item;
  float c0 = 0.0f;
  {
    for (int row = lane; row < 32; row += 32) {
      const int r0_first = row * 2;
      const Floats2 v2 = *reinterpret_cast<const Floats2*>(b4 + (r0_first));
      const Floats2 v4 = *reinterpret_cast<const Floats2*>(b6 + (r0_first));
      #pragma unroll
      for (int part = 0; part < 2; part += 1) {
        const int r0 = r0_first + part;
        const float e0 = b2[g0 + 192 * r0];
        const float e1 = b0[g0 + 192 * r0];
        const float e2 = v2.at[part];
        const float e3 = e1 - e2;
        const float e4 = v4.at[part];
        const float e5 = e3 * e4;
        const float e6 = e0 * e5;
        c0 = c0 + e6;
      }
    }
  }
  for (int step = 16; step > 0; step /= 2) {
    const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
    c0 = c0 + other_c0;
  }
  {
    const float e0 = c0;
    if (lane == 0) {
      b16[g0] = e0;
    }
  }
}
