extern "C" __global__ void __launch_bounds__(256, 2) k0(
    const float* b0,
    const float* b1,
    float* workspace) {
  __shared__ float4 staged[1296];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  float* const shared = reinterpret_cast<float*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 32;
  const int tile = block / 32;
  const int m0 = tile % 2 * 16;
  const int n0 = tile / 2 % 2 * 16;
  const int k_first = part * 128;
  const int k_end = min(k_first + 128, 4096);
  float a_next[2][4];
  int a_map0[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = m0 + (thread + i * 256) / 32;
    a_map0[i] = 4096 * own;
  }
  float b_next[2][4];
  bool b_in[2];
  int b_map0[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 24;
    b_map0[i] = own;
  }
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int group = warp / 1;
  const int own_m = warp / 1 % 1 * 16;
  const int own_n = warp % 1 * 16;
  float sum[1][2][4] = {};
  take_turn();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) % 32 * 4;
    {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + k));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
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
  for (int k0 = k_first; k0 < k_end; k0 += 128) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float* const to = shared + 0 + ((thread + i * 256) / 32) * 132 + ((thread + i * 256) % 32 * 4);
      *reinterpret_cast<float4*>(to) = make_float4(tf32(a_next[i][0]), tf32(a_next[i][1]), tf32(a_next[i][2]), tf32(a_next[i][3]));
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float* const to = shared + 2112 + ((thread + i * 256) / 4) * 24 + ((thread + i * 256) % 4 * 4);
      *reinterpret_cast<float4*>(to) = make_float4(tf32(b_next[i][0]), tf32(b_next[i][1]), tf32(b_next[i][2]), tf32(b_next[i][3]));
    }
    __syncthreads();
    if (k0 + 128 < k_end) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 128 + (thread + i * 256) % 32 * 4;
        {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + k));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 128 + (thread + i * 256) / 4;
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
#pragma unroll
    for (int k = 0; k < 128; k += 64) {
      unsigned a[1][4];
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        load_matrices(a[i], shared + 0 + (own_m + i * 16 + lane % 16) * 132 + (k + group * 8) + lane / 16 * 4);
      }
      unsigned b[1][4];
      {
        const float* const from = shared + 2112 + ((k + group * 8) + lane % 4) * 24 + own_n;
        const float2 at0_0 = *reinterpret_cast<const float2*>(from + 0 + lane / 4 * 2);
        b[0][0] = __float_as_uint(at0_0.x);
        b[0][2] = __float_as_uint(at0_0.y);
        const float2 at1_0 = *reinterpret_cast<const float2*>(from + 96 + lane / 4 * 2);
        b[0][1] = __float_as_uint(at1_0.x);
        b[0][3] = __float_as_uint(at1_0.y);
      }
#pragma unroll
      for (int i = 0; i < 1; ++i) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          multiply_tf32(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
    __syncthreads();
  }
  {
    float* const to = sums + group * 384 + (own_m + lane / 4) * 24 + own_n;
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 4 + 0) = make_float2(sum[0][0][0], sum[0][1][0]);
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 4 + 2) = make_float2(sum[0][0][1], sum[0][1][1]);
  }
  {
    float* const to = sums + group * 384 + (own_m + 8 + lane / 4) * 24 + own_n;
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 4 + 0) = make_float2(sum[0][0][2], sum[0][1][2]);
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 4 + 2) = make_float2(sum[0][0][3], sum[0][1][3]);
  }
  __syncthreads();
  for (int at = thread; at < 64; at += 256) {
    const float* const start = sums + (at / 4) * 24 + at % 4 * 4;
    const float4 of0_0 = *reinterpret_cast<const float4*>(start);
    const float4 of1_0 = *reinterpret_cast<const float4*>(start + 384);
    const float4 of2_0 = *reinterpret_cast<const float4*>(start + 768);
    const float4 of3_0 = *reinterpret_cast<const float4*>(start + 1152);
    const float4 of4_0 = *reinterpret_cast<const float4*>(start + 1536);
    const float4 of5_0 = *reinterpret_cast<const float4*>(start + 1920);
    const float4 of6_0 = *reinterpret_cast<const float4*>(start + 2304);
    const float4 of7_0 = *reinterpret_cast<const float4*>(start + 2688);
    const int m = m0 + at / 4;
    const int n = n0 + at % 4 * 4;
    if (m >= 32 || n >= 24) {
      continue;
    }
    float* const to = workspace + part * 768 + tile / 4 * 768 + m * 24 + n;
    *reinterpret_cast<float4*>(to) = make_float4(of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w);
  }
}
