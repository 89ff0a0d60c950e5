extern "C" __global__ void __launch_bounds__(256, 2) k0(
    const float* b0,
    const float* b1,
    const float* b3,
    float* b4) {
  __shared__ float4 staged[1024];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  float* const shared = reinterpret_cast<float*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 1;
  const int tile = block / 1;
  const int m0 = tile % 2 * 16;
  const int n0 = tile / 2 % 2 * 16;
  const int k_first = part * 48;
  const int k_end = min(k_first + 48, 48);
  float a_next[1][4];
  bool a_in[1];
  int a_map0[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = m0 + (thread + i * 256) % 16;
    a_in[i] = own < 32;
    a_map0[i] = 48 * own;
  }
  float b_next[1][4];
  bool b_in[1];
  int b_map0[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 24;
    b_map0[i] = own;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
  take_turn();
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + k));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * k));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 48) {
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      if (thread + i * 256 < 192) {
        float* const to = shared + 0 + ((thread + i * 256) / 16 * 4) * 20 + ((thread + i * 256) % 16);
        to[0] = a_next[i][0];
        to[20] = a_next[i][1];
        to[40] = a_next[i][2];
        to[60] = a_next[i][3];
      }
    }
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      if (thread + i * 256 < 192) {
        float* const to = shared + 960 + ((thread + i * 256) / 4) * 20 + ((thread + i * 256) % 4 * 4);
        *reinterpret_cast<float4*>(to) = make_float4(b_next[i][0], b_next[i][1], b_next[i][2], b_next[i][3]);
      }
    }
    __syncthreads();
    if (k0 + 48 < k_end) {
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 48 + (thread + i * 256) / 16 * 4;
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + k));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 48 + (thread + i * 256) / 4;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * k));
          b_next[i][0] = v.at[0];
          b_next[i][1] = v.at[1];
          b_next[i][2] = v.at[2];
          b_next[i][3] = v.at[3];
        }
      }
    }
    const int k_count = min(k_end - k0, 48);
#pragma unroll 8
    for (int k = group; k < k_count; k += 16) {
      const float4 x = *reinterpret_cast<const float4*>(shared + 0 + k * 20 + own_m);
      const float4 y = *reinterpret_cast<const float4*>(shared + 960 + k * 20 + own_n);
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
    if (m >= 32 || n >= 24) {
      continue;
    }
    float whole[4] = {of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w};
    const float (&c0)[4] = whole;
    const int g0 = m;
    const int g1_first = n;
    const Floats4 v1 = *reinterpret_cast<const Floats4*>(b3 + (g1_first));
    const float e3 = 0.0f;
    Floats4 s0 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g1 = g1_first + part;
      const float e0 = c0[part];
      const float e1 = v1.at[part];
      const float e2 = e0 + e1;
      const bool e4 = e2 <= e3;
      const float e5 = e4 ? e3 : e2;
      s0.at[part] = e5;
    }
    *reinterpret_cast<Floats4*>(b4 + (24 * g0 + g1_first)) = s0;
  }
}
