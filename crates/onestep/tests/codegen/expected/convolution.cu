extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    const float* b1,
    float* b2,
    float* b4) {
  __shared__ float4 staged[1024];
  float* const shared = reinterpret_cast<float*>(staged);
  take_turn();
  const int thread = threadIdx.x;
  const int part = blockIdx.x % 1;
  const int tile = blockIdx.x / 1;
  const int m0 = tile % 16 * 16;
  const int n0 = tile / 16 % 1 * 16;
  const int k_first = part * 72;
  const int k_end = min(k_first + 72, 72);
  float a_next[2][4];
  bool a_in[2];
  int a_map0[2];
  int a_map1[2];
  int a_map2[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = m0 + (thread + i * 256) % 16;
    a_in[i] = own < 256;
    const int g0 = own / 64;
    const int g1 = own / 8 % 8;
    const int g2 = own % 8;
    a_map0[i] = 2 * g1 - 1;
    a_map1[i] = 2 * g2 - 1;
    a_map2[i] = 2048 * g0 + 256 * g1 + 16 * g2 - 136;
  }
  float b_next[2][4];
  bool b_in[2];
  int b_map0[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = n0 + (thread + i * 256) % 16;
    b_in[i] = own < 8;
    const int g3 = own;
    b_map0[i] = 72 * g3;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    const int r0 = k / 24;
    const int r1 = k / 8 % 3;
    const int r2 = k % 8;
    const int q0 = a_map0[i] + r0;
    const int q1 = a_map1[i] + r1;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end && q0 >= 0 && q0 < 16 && q1 >= 0 && q1 < 16) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + 128 * r0 + 8 * r1 + r2));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    const int r0 = k / 24;
    const int r1 = k / 8 % 3;
    const int r2 = k % 8;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * r0 + 8 * r1 + r2));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 80) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (thread + i * 256 < 320) {
        float* const to = shared + 0 + ((thread + i * 256) / 16 * 4) * 20 + ((thread + i * 256) % 16);
        to[0] = a_next[i][0];
        to[20] = a_next[i][1];
        to[40] = a_next[i][2];
        to[60] = a_next[i][3];
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (thread + i * 256 < 320) {
        float* const to = shared + 1600 + ((thread + i * 256) / 16 * 4) * 20 + ((thread + i * 256) % 16);
        to[0] = b_next[i][0];
        to[20] = b_next[i][1];
        to[40] = b_next[i][2];
        to[60] = b_next[i][3];
      }
    }
    __syncthreads();
    if (k0 + 80 < k_end) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 80 + (thread + i * 256) / 16 * 4;
        const int r0 = k / 24;
        const int r1 = k / 8 % 3;
        const int r2 = k % 8;
        const int q0 = a_map0[i] + r0;
        const int q1 = a_map1[i] + r1;
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end && q0 >= 0 && q0 < 16 && q1 >= 0 && q1 < 16) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + 128 * r0 + 8 * r1 + r2));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 80 + (thread + i * 256) / 16 * 4;
        const int r0 = k / 24;
        const int r1 = k / 8 % 3;
        const int r2 = k % 8;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * r0 + 8 * r1 + r2));
          b_next[i][0] = v.at[0];
          b_next[i][1] = v.at[1];
          b_next[i][2] = v.at[2];
          b_next[i][3] = v.at[3];
        }
      }
    }
    const int k_count = min(k_end - k0, 80);
#pragma unroll 8
    for (int k = group; k < k_count; k += 16) {
      const float4 x = *reinterpret_cast<const float4*>(shared + k * 20 + own_m);
      const float4 y = *reinterpret_cast<const float4*>(shared + 1600 + k * 20 + own_n);
      const float xs[4] = {x.x, x.y, x.z, x.w};
      const float ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += xs[i] * ys[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    *reinterpret_cast<float4*>(shared + group * 256 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 256; at += 256) {
    const int place = at;
    float c0 = 0.0f;
#pragma unroll
    for (int g = 0; g < 16; ++g) c0 += shared[g * 256 + place];
    const int m = m0 + at / 16;
    const int n = n0 + at % 16;
    if (m >= 256 || n >= 8) continue;
    const int g0 = m / 64;
    const int g1 = m / 8 % 8;
    const int g2 = m % 8;
    const int g3 = n;
    const float e0 = c0;
    const float e1 = 1.0f;
    const float e2 = tanhf(e0);
    const float e3 = e2 * e2;
    const float e4 = e1 - e3;
    b2[512 * g0 + 64 * g1 + 8 * g2 + g3] = e0;
    b4[512 * g0 + 64 * g1 + 8 * g2 + g3] = e4;
  }
}

extern "C" __global__ void __launch_bounds__(256) k3(
    const float* b1,
    const float* b4,
    float* b8) {
  __shared__ float4 staged[1024];
  float* const shared = reinterpret_cast<float*>(staged);
  take_turn();
  const int thread = threadIdx.x;
  const int part = blockIdx.x % 1;
  const int tile = blockIdx.x / 1;
  const int m0 = tile % 16 * 16;
  const int n0 = tile / 16 % 1 * 16;
  const int g2 = (tile / 16) / 2;
  const int g4 = (tile / 16) % 2;
  const int k_first = part * 32;
  const int k_end = min(k_first + 32, 32);
  float a_next[1][4];
  bool a_in[1];
  int a_map0[1];
  int a_map1[1];
  int a_map2[1];
  int a_map3[1];
  int a_map4[1];
  int a_map5[1];
  int a_map6[1];
  int a_map7[1];
  int a_map8[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = m0 + (thread + i * 256) % 16;
    a_in[i] = own < 256;
    const int g0 = own / 64;
    const int g1 = own / 8 % 8;
    const int g3 = own % 8;
    a_map0[i] = g2 + 1;
    a_map1[i] = g2 + 1;
    a_map2[i] = g4 + 1;
    a_map3[i] = g4 + 1;
    a_map4[i] = g1;
    a_map5[i] = g3;
    a_map6[i] = 0;
    a_map7[i] = 0;
    a_map8[i] = 512 * g0 + 64 * g1 + 8 * g3;
  }
  float b_next[1][4];
  bool b_in[1];
  int b_map1[1];
  int b_map3[1];
  int b_map4[1];
  int b_map5[1];
  int b_map6[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 8;
    const int g5 = own;
    b_map1[i] = g2 + 1;
    b_map3[i] = g4 + 1;
    b_map4[i] = 0;
    b_map5[i] = 0;
    b_map6[i] = g5;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    const int r0 = k / 16;
    const int r1 = k / 8 % 2;
    const int r2 = k % 8;
    const int l0 = floor_div<int>(a_map0[i], 2);
    const int l1 = floor_rem<int>(a_map1[i], 2);
    const int l2 = floor_div<int>(a_map2[i], 2);
    const int l3 = floor_rem<int>(a_map3[i], 2);
    const int q0 = a_map4[i] + -r0 + l0;
    const int q1 = a_map5[i] + -r1 + l2;
    const int q2 = a_map6[i] + 2 * r0 + l1;
    const int q3 = a_map7[i] + 2 * r1 + l3;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end && q0 >= 0 && q0 < 8 && q1 >= 0 && q1 < 8 && q2 >= 0 && q2 < 3 && q3 >= 0 && q3 < 3) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map8[i] + -64 * r0 - 8 * r1 + r2 + 64 * l0 + 8 * l2));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const int r0 = k / 16;
    const int r1 = k / 8 % 2;
    const int r2 = k % 8;
    const int l1 = floor_rem<int>(b_map1[i], 2);
    const int l3 = floor_rem<int>(b_map3[i], 2);
    const int q0 = b_map4[i] + 2 * r0 + l1;
    const int q1 = b_map5[i] + 2 * r1 + l3;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end && q0 >= 0 && q0 < 3 && q1 >= 0 && q1 < 3) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map6[i] + 48 * r0 + 16 * r1 + 72 * r2 + 24 * l1 + 8 * l3));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 32) {
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      if (thread + i * 256 < 128) {
        float* const to = shared + 0 + ((thread + i * 256) / 16 * 4) * 20 + ((thread + i * 256) % 16);
        to[0] = a_next[i][0];
        to[20] = a_next[i][1];
        to[40] = a_next[i][2];
        to[60] = a_next[i][3];
      }
    }
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      if (thread + i * 256 < 128) {
        float* const to = shared + 640 + ((thread + i * 256) / 4) * 20 + ((thread + i * 256) % 4 * 4);
        *reinterpret_cast<float4*>(to) = make_float4(b_next[i][0], b_next[i][1], b_next[i][2], b_next[i][3]);
      }
    }
    __syncthreads();
    if (k0 + 32 < k_end) {
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 32 + (thread + i * 256) / 16 * 4;
        const int r0 = k / 16;
        const int r1 = k / 8 % 2;
        const int r2 = k % 8;
        const int l0 = floor_div<int>(a_map0[i], 2);
        const int l1 = floor_rem<int>(a_map1[i], 2);
        const int l2 = floor_div<int>(a_map2[i], 2);
        const int l3 = floor_rem<int>(a_map3[i], 2);
        const int q0 = a_map4[i] + -r0 + l0;
        const int q1 = a_map5[i] + -r1 + l2;
        const int q2 = a_map6[i] + 2 * r0 + l1;
        const int q3 = a_map7[i] + 2 * r1 + l3;
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end && q0 >= 0 && q0 < 8 && q1 >= 0 && q1 < 8 && q2 >= 0 && q2 < 3 && q3 >= 0 && q3 < 3) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map8[i] + -64 * r0 - 8 * r1 + r2 + 64 * l0 + 8 * l2));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 32 + (thread + i * 256) / 4;
        const int r0 = k / 16;
        const int r1 = k / 8 % 2;
        const int r2 = k % 8;
        const int l1 = floor_rem<int>(b_map1[i], 2);
        const int l3 = floor_rem<int>(b_map3[i], 2);
        const int q0 = b_map4[i] + 2 * r0 + l1;
        const int q1 = b_map5[i] + 2 * r1 + l3;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end && q0 >= 0 && q0 < 3 && q1 >= 0 && q1 < 3) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map6[i] + 48 * r0 + 16 * r1 + 72 * r2 + 24 * l1 + 8 * l3));
          b_next[i][0] = v.at[0];
          b_next[i][1] = v.at[1];
          b_next[i][2] = v.at[2];
          b_next[i][3] = v.at[3];
        }
      }
    }
    const int k_count = min(k_end - k0, 32);
#pragma unroll 8
    for (int k = group; k < k_count; k += 16) {
      const float4 x = *reinterpret_cast<const float4*>(shared + k * 20 + own_m);
      const float4 y = *reinterpret_cast<const float4*>(shared + 640 + k * 20 + own_n);
      const float xs[4] = {x.x, x.y, x.z, x.w};
      const float ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += xs[i] * ys[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    *reinterpret_cast<float4*>(shared + group * 256 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 256; at += 256) {
    const int place = at;
    float c0 = 0.0f;
#pragma unroll
    for (int g = 0; g < 16; ++g) c0 += shared[g * 256 + place];
    const int m = m0 + at / 16;
    const int n = n0 + at % 16;
    if (m >= 256 || n >= 8) continue;
    const int g0 = m / 64;
    const int g1 = m / 8 % 8;
    const int g3 = m % 8;
    const int g5 = n;
    const float e0 = c0;
    b8[2048 * g0 + 256 * g1 + 128 * g2 + 16 * g3 + 8 * g4 + g5] = e0;
  }
}

extern "C" __global__ void __launch_bounds__(256) k4(
    const float* b0,
    const float* b4,
    float* b9) {
  __shared__ float4 staged[2560];
  float* const shared = reinterpret_cast<float*>(staged);
  take_turn();
  const int thread = threadIdx.x;
  const int part = blockIdx.x % 1;
  const int tile = blockIdx.x / 1;
  const int m0 = tile % 5 * 16;
  const int n0 = tile / 5 % 1 * 16;
  const int k_first = part * 256;
  const int k_end = min(k_first + 256, 256);
  float a_next[4][4];
  bool a_in[4];
  int a_map0[4];
  int a_map1[4];
  int a_map2[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = m0 + (thread + i * 256) % 4 * 4;
    a_in[i] = own < 72;
    const int g1 = own / 24;
    const int g2 = own / 8 % 3;
    const int g3 = own % 8;
    a_map0[i] = g1 - 1;
    a_map1[i] = g2 - 1;
    a_map2[i] = 128 * g1 + 8 * g2 + g3 - 136;
  }
  float b_next[4][4];
  bool b_in[4];
  int b_map0[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 8;
    const int g0 = own;
    b_map0[i] = g0;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const int r0 = k / 64;
    const int r1 = k / 8 % 8;
    const int r2 = k % 8;
    const int q0 = a_map0[i] + 2 * r1;
    const int q1 = a_map1[i] + 2 * r2;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end && q0 >= 0 && q0 < 16 && q1 >= 0 && q1 < 16) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + 2048 * r0 + 256 * r1 + 16 * r2));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const int r0 = k / 64;
    const int r1 = k / 8 % 8;
    const int r2 = k % 8;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (b_map0[i] + 512 * r0 + 64 * r1 + 8 * r2));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 256) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const to = shared + 0 + ((thread + i * 256) / 4) * 20 + ((thread + i * 256) % 4 * 4);
      *reinterpret_cast<float4*>(to) = make_float4(a_next[i][0], a_next[i][1], a_next[i][2], a_next[i][3]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const to = shared + 5120 + ((thread + i * 256) / 4) * 20 + ((thread + i * 256) % 4 * 4);
      *reinterpret_cast<float4*>(to) = make_float4(b_next[i][0], b_next[i][1], b_next[i][2], b_next[i][3]);
    }
    __syncthreads();
    if (k0 + 256 < k_end) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = k0 + 256 + (thread + i * 256) / 4;
        const int r0 = k / 64;
        const int r1 = k / 8 % 8;
        const int r2 = k % 8;
        const int q0 = a_map0[i] + 2 * r1;
        const int q1 = a_map1[i] + 2 * r2;
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end && q0 >= 0 && q0 < 16 && q1 >= 0 && q1 < 16) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + 2048 * r0 + 256 * r1 + 16 * r2));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = k0 + 256 + (thread + i * 256) / 4;
        const int r0 = k / 64;
        const int r1 = k / 8 % 8;
        const int r2 = k % 8;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (b_map0[i] + 512 * r0 + 64 * r1 + 8 * r2));
          b_next[i][0] = v.at[0];
          b_next[i][1] = v.at[1];
          b_next[i][2] = v.at[2];
          b_next[i][3] = v.at[3];
        }
      }
    }
    const int k_count = min(k_end - k0, 256);
#pragma unroll 8
    for (int k = group; k < k_count; k += 16) {
      const float4 x = *reinterpret_cast<const float4*>(shared + k * 20 + own_m);
      const float4 y = *reinterpret_cast<const float4*>(shared + 5120 + k * 20 + own_n);
      const float xs[4] = {x.x, x.y, x.z, x.w};
      const float ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += xs[i] * ys[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    *reinterpret_cast<float4*>(shared + group * 256 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 256; at += 256) {
    const int place = at % 16 * 16 + at / 16;
    float c0 = 0.0f;
#pragma unroll
    for (int g = 0; g < 16; ++g) c0 += shared[g * 256 + place];
    const int m = m0 + at % 16;
    const int n = n0 + at / 16;
    if (m >= 72 || n >= 8) continue;
    const int g1 = m / 24;
    const int g2 = m / 8 % 3;
    const int g3 = m % 8;
    const int g0 = n;
    const float e0 = c0;
    b9[72 * g0 + 24 * g1 + 8 * g2 + g3] = e0;
  }
}
