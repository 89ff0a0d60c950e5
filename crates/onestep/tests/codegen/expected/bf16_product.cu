extern "C" __global__ void __launch_bounds__(256, 2) k0(
    const unsigned short* b0,
    const unsigned short* b1,
    unsigned short* b3) {
  __shared__ float4 staged[1152];
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  unsigned short* const shared = reinterpret_cast<unsigned short*>(staged);
  float* const sums = reinterpret_cast<float*>(staged);
  const int part = block % 1;
  const int tile = block / 1;
  const int m0 = tile % 32 * 32;
  const int n0 = tile / 32 % 8 * 64;
  const int k_first = part * 64;
  const int k_end = min(k_first + 64, 64);
  uint4 a_next[1];
  int a_map0[1];
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int own = m0 + (thread + i * 256) / 8;
    a_map0[i] = 64 * own;
  }
  uint4 b_next[2];
  int b_map0[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int own = n0 + (thread + i * 256) % 8 * 8;
    b_map0[i] = own;
  }
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int group = warp / 4;
  const int own_m = warp / 2 % 2 * 16;
  const int own_n = warp % 2 * 32;
  float sum[1][4][4] = {};
  take_turn();
#pragma unroll
  for (int i = 0; i < 1; ++i) {
    const int k = k_first + (thread + i * 256) % 8 * 8;
    a_next[i] = *reinterpret_cast<const uint4*>(b0 + (a_map0[i] + k));
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int k = k_first + (thread + i * 256) / 8;
    b_next[i] = *reinterpret_cast<const uint4*>(b1 + (b_map0[i] + 512 * k));
  }
  for (int k0 = k_first; k0 < k_end; k0 += 64) {
#pragma unroll
    for (int i = 0; i < 1; ++i) {
      unsigned short* const to = shared + 0 + ((thread + i * 256) / 8) * 72 + ((thread + i * 256) % 8 * 8);
      *reinterpret_cast<uint4*>(to) = a_next[i];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      unsigned short* const to = shared + 2304 + ((thread + i * 256) / 8) * 72 + ((thread + i * 256) % 8 * 8);
      *reinterpret_cast<uint4*>(to) = b_next[i];
    }
    __syncthreads();
    if (k0 + 64 < k_end) {
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        const int k = k0 + 64 + (thread + i * 256) % 8 * 8;
        a_next[i] = *reinterpret_cast<const uint4*>(b0 + (a_map0[i] + k));
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int k = k0 + 64 + (thread + i * 256) / 8;
        b_next[i] = *reinterpret_cast<const uint4*>(b1 + (b_map0[i] + 512 * k));
      }
    }
#pragma unroll
    for (int k = 0; k < 64; k += 32) {
      unsigned a[1][4];
#pragma unroll
      for (int i = 0; i < 1; ++i) {
        load_matrices(a[i], shared + 0 + (own_m + i * 16 + lane % 16) * 72 + (k + group * 16) + lane / 16 * 8);
      }
      unsigned b[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        load_transposed(b[i], shared + 2304 + ((k + group * 16) + lane % 16) * 72 + own_n + i * 16 + lane / 16 * 8);
      }
#pragma unroll
      for (int i = 0; i < 1; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          multiply_bf16(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
    __syncthreads();
  }
  {
    float* const to = sums + group * 2304 + (own_m + lane / 4) * 72 + own_n;
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 2) = make_float2(sum[0][0][0], sum[0][0][1]);
    *reinterpret_cast<float2*>(to + 8 + lane % 4 * 2) = make_float2(sum[0][1][0], sum[0][1][1]);
    *reinterpret_cast<float2*>(to + 16 + lane % 4 * 2) = make_float2(sum[0][2][0], sum[0][2][1]);
    *reinterpret_cast<float2*>(to + 24 + lane % 4 * 2) = make_float2(sum[0][3][0], sum[0][3][1]);
  }
  {
    float* const to = sums + group * 2304 + (own_m + 8 + lane / 4) * 72 + own_n;
    *reinterpret_cast<float2*>(to + 0 + lane % 4 * 2) = make_float2(sum[0][0][2], sum[0][0][3]);
    *reinterpret_cast<float2*>(to + 8 + lane % 4 * 2) = make_float2(sum[0][1][2], sum[0][1][3]);
    *reinterpret_cast<float2*>(to + 16 + lane % 4 * 2) = make_float2(sum[0][2][2], sum[0][2][3]);
    *reinterpret_cast<float2*>(to + 24 + lane % 4 * 2) = make_float2(sum[0][3][2], sum[0][3][3]);
  }
  __syncthreads();
  for (int at = thread; at < 256; at += 256) {
    const float* const start = sums + (at / 8) * 72 + at % 8 * 8;
    const float4 of0_0 = *reinterpret_cast<const float4*>(start);
    const float4 of0_1 = *reinterpret_cast<const float4*>(start + 4);
    const float4 of1_0 = *reinterpret_cast<const float4*>(start + 2304);
    const float4 of1_1 = *reinterpret_cast<const float4*>(start + 2308);
    const int m = m0 + at / 8;
    const int n = n0 + at % 8 * 8;
    if (m >= 1024 || n >= 512) {
      continue;
    }
    float whole[8] = {of0_0.x + of1_0.x, of0_0.y + of1_0.y, of0_0.z + of1_0.z, of0_0.w + of1_0.w, of0_1.x + of1_1.x, of0_1.y + of1_1.y, of0_1.z + of1_1.z, of0_1.w + of1_1.w};
    const float (&c0)[8] = whole;
    const int g0 = m;
    const int g1_first = n;
    Shorts8 s0 = Shorts8{};
    #pragma unroll
    for (int part = 0; part < 8; part += 1) {
      const int g1 = g1_first + part;
      const float e0 = c0[part];
      const float e1 = bf16_value(bf16_bits(e0));
      s0.at[part] = (unsigned short)bf16_bits(e0);
    }
    *reinterpret_cast<Shorts8*>(b3 + (512 * g0 + g1_first)) = s0;
  }
}
