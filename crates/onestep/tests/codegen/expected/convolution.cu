extern "C" __global__ void __launch_bounds__(256, 2) k0(
    const float* b0,
    const float* b1,
    float* b2,
    float* b4) {
  __shared__ float4 staged[1024];
  __shared__ Ints4 a_steps[32];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  float* const shared = reinterpret_cast<float*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 1;
  const int tile = block / 1;
  const int m0 = tile % 16 * 16;
  const int n0 = tile / 16 % 1 * 16;
  const int k_first = part * 72;
  const int k_end = min(k_first + 72, 72);
  for (int at = thread; at < 32; at += 256) {
    const int k = k_first + at * 4;
    a_steps[at].at[0] = k / 24;
    a_steps[at].at[1] = k / 8 % 3;
    a_steps[at].at[2] = 128 * (k / 24) + k % 24;
  }
  float a_next[2][4];
  bool a_in[2];
  int a_map0[2];
  int a_map1[2];
  int a_map2[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = m0 + (thread + i * 256) % 16;
    a_in[i] = own < 256;
    a_map0[i] = 2 * (own / 8 % 8) + -1;
    a_map1[i] = 2 * (own % 8) + -1;
    a_map2[i] = 256 * (own / 8) + 16 * (own % 8) + -136;
  }
  float b_next[2][4];
  bool b_in[2];
  int b_map0[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = n0 + (thread + i * 256) % 16;
    b_in[i] = own < 8;
    b_map0[i] = 72 * own;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
  take_turn();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    const unsigned entry = (unsigned)(k - k_first) / 4u;
    const int q0 = a_map0[i] + a_steps[entry].at[0];
    const int q1 = a_map1[i] + a_steps[entry].at[1];
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end && (unsigned)(q0) < 16u && (unsigned)(q1) < 16u) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + a_steps[entry].at[2]));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + k));
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
        const unsigned entry = (unsigned)(k - k_first) / 4u;
        const int q0 = a_map0[i] + a_steps[entry].at[0];
        const int q1 = a_map1[i] + a_steps[entry].at[1];
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end && (unsigned)(q0) < 16u && (unsigned)(q1) < 16u) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map2[i] + a_steps[entry].at[2]));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 80 + (thread + i * 256) / 16 * 4;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + k));
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
      const float4 x = *reinterpret_cast<const float4*>(shared + 0 + k * 20 + own_m);
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
    *reinterpret_cast<float4*>(sums + group * 256 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 64; at += 256) {
    const float* const start = sums + (at / 4) * 16 + at % 4 * 4;
    const float4 of0_0 = *reinterpret_cast<const float4*>(start);
    const float4 of1_0 = *reinterpret_cast<const float4*>(start + 256);
    const float4 of2_0 = *reinterpret_cast<const float4*>(start + 512);
    const float4 of3_0 = *reinterpret_cast<const float4*>(start + 768);
    const float4 of4_0 = *reinterpret_cast<const float4*>(start + 1024);
    const float4 of5_0 = *reinterpret_cast<const float4*>(start + 1280);
    const float4 of6_0 = *reinterpret_cast<const float4*>(start + 1536);
    const float4 of7_0 = *reinterpret_cast<const float4*>(start + 1792);
    const float4 of8_0 = *reinterpret_cast<const float4*>(start + 2048);
    const float4 of9_0 = *reinterpret_cast<const float4*>(start + 2304);
    const float4 of10_0 = *reinterpret_cast<const float4*>(start + 2560);
    const float4 of11_0 = *reinterpret_cast<const float4*>(start + 2816);
    const float4 of12_0 = *reinterpret_cast<const float4*>(start + 3072);
    const float4 of13_0 = *reinterpret_cast<const float4*>(start + 3328);
    const float4 of14_0 = *reinterpret_cast<const float4*>(start + 3584);
    const float4 of15_0 = *reinterpret_cast<const float4*>(start + 3840);
    const int m = m0 + at / 4;
    const int n = n0 + at % 4 * 4;
    if (m >= 256 || n >= 8) {
      continue;
    }
    float whole[4] = {of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w};
    const float (&c0)[4] = whole;
    const int g0 = m / 64;
    const int g1 = m / 8 % 8;
    const int g2 = m % 8;
    const int g3_first = n;
    const float e1 = 1.0f;
    Floats4 s0 = Floats4{};
    Floats4 s1 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g3 = g3_first + part;
      const float e0 = c0[part];
      const float e2 = tanhf(e0);
      const float e3 = e2 * e2;
      const float e4 = e1 - e3;
      s0.at[part] = e0;
      s1.at[part] = e4;
    }
    *reinterpret_cast<Floats4*>(b2 + (512 * g0 + 64 * g1 + 8 * g2 + g3_first)) = s0;
    *reinterpret_cast<Floats4*>(b4 + (512 * g0 + 64 * g1 + 8 * g2 + g3_first)) = s1;
  }
}

extern "C" __global__ void __launch_bounds__(256, 2) k2(
    const float* b1,
    const float* b4,
    float* b8) {
  __shared__ float4 staged[1024];
  __shared__ Ints8 a_steps[8];
  __shared__ Ints4 b_steps[64];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  float* const shared = reinterpret_cast<float*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 1;
  const int tile = block / 1;
  const int m0 = tile % 8 * 32;
  const int n0 = tile / 8 % 1 * 16;
  const int g2 = (tile / 8) / 2;
  const int g4 = (tile / 8) % 2;
  const int k_first = part * 32;
  const int k_end = min(k_first + 32, 32);
  for (int at = thread; at < 8; at += 256) {
    const int k = k_first + at * 4;
    a_steps[at].at[0] = -1 * (k / 16);
    a_steps[at].at[1] = -1 * (k / 8 % 2);
    a_steps[at].at[2] = 2 * (k / 16);
    a_steps[at].at[3] = 2 * (k / 8 % 2);
    a_steps[at].at[4] = -64 * (k / 16) + -8 * (k / 8 % 2) + k % 8;
  }
  float a_next[1][4];
  int a_map0[1];
  int a_map1[1];
  int a_map2[1];
  int a_map3[1];
  int a_map4[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = m0 + (thread + i * 256) % 32;
    const int l0 = floor_div<int>(g2 + 1, 2);
    const int l1 = floor_rem<int>(g2 + 1, 2);
    const int l2 = floor_div<int>(g4 + 1, 2);
    const int l3 = floor_rem<int>(g4 + 1, 2);
    a_map0[i] = own / 8 % 8 + l0;
    a_map1[i] = own % 8 + l2;
    a_map2[i] = l1;
    a_map3[i] = l3;
    a_map4[i] = 8 * own + 64 * l0 + 8 * l2;
  }
  for (int at = thread; at < 64; at += 256) {
    const int k = k_first + at * 1;
    b_steps[at].at[0] = 2 * (k / 16);
    b_steps[at].at[1] = 2 * (k / 8 % 2);
    b_steps[at].at[2] = 48 * (k / 16) + 16 * (k / 8 % 2) + 72 * (k % 8);
  }
  float b_next[1][4];
  bool b_in[1];
  int b_map0[1];
  int b_map1[1];
  int b_map2[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 8;
    const int l1 = floor_rem<int>(g2 + 1, 2);
    const int l3 = floor_rem<int>(g4 + 1, 2);
    b_map0[i] = l1;
    b_map1[i] = l3;
    b_map2[i] = own + 24 * l1 + 8 * l3;
  }
  float sum[4][4] = {};
  const int group = thread / 32;
  const int own_n = thread % 32 % 4 * 4;
  const int own_m = thread % 32 / 4 * 4;
  take_turn();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 32 * 4;
    const unsigned entry = (unsigned)(k - k_first) / 4u;
    const int q0 = a_map0[i] + a_steps[entry].at[0];
    const int q1 = a_map1[i] + a_steps[entry].at[1];
    const int q2 = a_map2[i] + a_steps[entry].at[2];
    const int q3 = a_map3[i] + a_steps[entry].at[3];
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if ((unsigned)(q0) < 8u && (unsigned)(q1) < 8u && (unsigned)(q2) < 3u && (unsigned)(q3) < 3u) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map4[i] + a_steps[entry].at[4]));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const unsigned entry = (unsigned)(k - k_first) / 1u;
    const int q0 = b_map0[i] + b_steps[entry].at[0];
    const int q1 = b_map1[i] + b_steps[entry].at[1];
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end && (unsigned)(q0) < 3u && (unsigned)(q1) < 3u) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map2[i] + b_steps[entry].at[2]));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 32) {
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      float* const to = shared + 0 + ((thread + i * 256) / 32 * 4) * 36 + ((thread + i * 256) % 32);
      to[0] = a_next[i][0];
      to[36] = a_next[i][1];
      to[72] = a_next[i][2];
      to[108] = a_next[i][3];
    }
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      if (thread + i * 256 < 128) {
        float* const to = shared + 1152 + ((thread + i * 256) / 4) * 20 + ((thread + i * 256) % 4 * 4);
        *reinterpret_cast<float4*>(to) = make_float4(b_next[i][0], b_next[i][1], b_next[i][2], b_next[i][3]);
      }
    }
    __syncthreads();
    if (k0 + 32 < k_end) {
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 32 + (thread + i * 256) / 32 * 4;
        const unsigned entry = (unsigned)(k - k_first) / 4u;
        const int q0 = a_map0[i] + a_steps[entry].at[0];
        const int q1 = a_map1[i] + a_steps[entry].at[1];
        const int q2 = a_map2[i] + a_steps[entry].at[2];
        const int q3 = a_map3[i] + a_steps[entry].at[3];
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if ((unsigned)(q0) < 8u && (unsigned)(q1) < 8u && (unsigned)(q2) < 3u && (unsigned)(q3) < 3u) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map4[i] + a_steps[entry].at[4]));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 32 + (thread + i * 256) / 4;
        const unsigned entry = (unsigned)(k - k_first) / 1u;
        const int q0 = b_map0[i] + b_steps[entry].at[0];
        const int q1 = b_map1[i] + b_steps[entry].at[1];
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end && (unsigned)(q0) < 3u && (unsigned)(q1) < 3u) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map2[i] + b_steps[entry].at[2]));
          b_next[i][0] = v.at[0];
          b_next[i][1] = v.at[1];
          b_next[i][2] = v.at[2];
          b_next[i][3] = v.at[3];
        }
      }
    }
    const int k_count = min(k_end - k0, 32);
#pragma unroll 8
    for (int k = group; k < k_count; k += 8) {
      const float4 x = *reinterpret_cast<const float4*>(shared + 0 + k * 36 + own_m);
      const float4 y = *reinterpret_cast<const float4*>(shared + 1152 + k * 20 + own_n);
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
    *reinterpret_cast<float4*>(sums + group * 512 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 128; at += 256) {
    const float* const start = sums + (at / 4) * 16 + at % 4 * 4;
    const float4 of0_0 = *reinterpret_cast<const float4*>(start);
    const float4 of1_0 = *reinterpret_cast<const float4*>(start + 512);
    const float4 of2_0 = *reinterpret_cast<const float4*>(start + 1024);
    const float4 of3_0 = *reinterpret_cast<const float4*>(start + 1536);
    const float4 of4_0 = *reinterpret_cast<const float4*>(start + 2048);
    const float4 of5_0 = *reinterpret_cast<const float4*>(start + 2560);
    const float4 of6_0 = *reinterpret_cast<const float4*>(start + 3072);
    const float4 of7_0 = *reinterpret_cast<const float4*>(start + 3584);
    const int m = m0 + at / 4;
    const int n = n0 + at % 4 * 4;
    if (m >= 256 || n >= 8) {
      continue;
    }
    float whole[4] = {of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w};
    const float (&c0)[4] = whole;
    const int g0 = m / 64;
    const int g1 = m / 8 % 8;
    const int g3 = m % 8;
    const int g5_first = n;
    Floats4 s0 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g5 = g5_first + part;
      const float e0 = c0[part];
      s0.at[part] = e0;
    }
    *reinterpret_cast<Floats4*>(b8 + (2048 * g0 + 256 * g1 + 128 * g2 + 16 * g3 + 8 * g4 + g5_first)) = s0;
  }
}

extern "C" __global__ void __launch_bounds__(256, 2) k3(
    const float* b0,
    const float* b4,
    float* b9) {
  __shared__ float4 staged[2560];
  __shared__ Ints4 b_steps[256];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  float* const shared = reinterpret_cast<float*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 1;
  const int tile = block / 1;
  const int m0 = tile % 1 * 16;
  const int n0 = tile / 1 % 5 * 16;
  const int k_first = part * 256;
  const int k_end = min(k_first + 256, 256);
  float a_next[4][4];
  bool a_in[4];
  int a_map0[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = m0 + (thread + i * 256) % 4 * 4;
    a_in[i] = own < 8;
    a_map0[i] = own;
  }
  for (int at = thread; at < 256; at += 256) {
    const int k = k_first + at * 1;
    b_steps[at].at[0] = 2 * (k / 8 % 8);
    b_steps[at].at[1] = 2 * (k % 8);
    b_steps[at].at[2] = 256 * (k / 8) + 16 * (k % 8);
  }
  float b_next[4][4];
  bool b_in[4];
  int b_map0[4];
  int b_map1[4];
  int b_map2[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 72;
    b_map0[i] = own / 24 + -1;
    b_map1[i] = own / 8 % 3 + -1;
    b_map2[i] = 128 * (own / 24) + own % 24 + -136;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
  take_turn();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map0[i] + 8 * k));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const unsigned entry = (unsigned)(k - k_first) / 1u;
    const int q0 = b_map0[i] + b_steps[entry].at[0];
    const int q1 = b_map1[i] + b_steps[entry].at[1];
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end && (unsigned)(q0) < 16u && (unsigned)(q1) < 16u) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (b_map2[i] + b_steps[entry].at[2]));
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
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b4 + (a_map0[i] + 8 * k));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = k0 + 256 + (thread + i * 256) / 4;
        const unsigned entry = (unsigned)(k - k_first) / 1u;
        const int q0 = b_map0[i] + b_steps[entry].at[0];
        const int q1 = b_map1[i] + b_steps[entry].at[1];
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end && (unsigned)(q0) < 16u && (unsigned)(q1) < 16u) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (b_map2[i] + b_steps[entry].at[2]));
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
      const float4 x = *reinterpret_cast<const float4*>(shared + 0 + k * 20 + own_m);
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
    *reinterpret_cast<float4*>(sums + group * 256 + (own_m + i) * 16 + own_n) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
  __syncthreads();
  for (int at = thread; at < 64; at += 256) {
    const float* const start = sums + (at / 4) * 16 + at % 4 * 4;
    const float4 of0_0 = *reinterpret_cast<const float4*>(start);
    const float4 of1_0 = *reinterpret_cast<const float4*>(start + 256);
    const float4 of2_0 = *reinterpret_cast<const float4*>(start + 512);
    const float4 of3_0 = *reinterpret_cast<const float4*>(start + 768);
    const float4 of4_0 = *reinterpret_cast<const float4*>(start + 1024);
    const float4 of5_0 = *reinterpret_cast<const float4*>(start + 1280);
    const float4 of6_0 = *reinterpret_cast<const float4*>(start + 1536);
    const float4 of7_0 = *reinterpret_cast<const float4*>(start + 1792);
    const float4 of8_0 = *reinterpret_cast<const float4*>(start + 2048);
    const float4 of9_0 = *reinterpret_cast<const float4*>(start + 2304);
    const float4 of10_0 = *reinterpret_cast<const float4*>(start + 2560);
    const float4 of11_0 = *reinterpret_cast<const float4*>(start + 2816);
    const float4 of12_0 = *reinterpret_cast<const float4*>(start + 3072);
    const float4 of13_0 = *reinterpret_cast<const float4*>(start + 3328);
    const float4 of14_0 = *reinterpret_cast<const float4*>(start + 3584);
    const float4 of15_0 = *reinterpret_cast<const float4*>(start + 3840);
    const int m = m0 + at / 4;
    const int n = n0 + at % 4 * 4;
    if (m >= 8 || n >= 72) {
      continue;
    }
    float whole[4] = {of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w};
    const float (&c0)[4] = whole;
    const int g0 = m;
    const int g1 = n / 24;
    const int g2 = n / 8 % 3;
    const int g3_first = n % 8;
    Floats4 s0 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g3 = g3_first + part;
      const float e0 = c0[part];
      s0.at[part] = e0;
    }
    *reinterpret_cast<Floats4*>(b9 + (72 * g0 + 24 * g1 + 8 * g2 + g3_first)) = s0;
  }
}
