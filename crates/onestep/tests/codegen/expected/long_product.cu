extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    const float* b1,
    float* workspace) {
  __shared__ float4 staged[2560];
  float* const shared = reinterpret_cast<float*>(staged);
  take_turn();
  const int thread = threadIdx.x;
  const int part = blockIdx.x % 32;
  const int tile = blockIdx.x / 32;
  const int m0 = tile % 2 * 16;
  const int n0 = tile / 2 % 2 * 16;
  const int k_first = part * 128;
  const int k_end = min(k_first + 128, 4096);
  float a_next[4][4];
  bool a_in[4];
  int a_map0[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = m0 + (thread + i * 256) % 16;
    a_in[i] = own < 32;
    const int g0 = own;
    a_map0[i] = 4096 * g0;
  }
  float b_next[4][4];
  bool b_in[4];
  int b_map0[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int own = n0 + (thread + i * 256) % 4 * 4;
    b_in[i] = own < 24;
    const int g1 = own;
    b_map0[i] = g1;
  }
  float sum[4][4] = {};
  const int group = thread / 16;
  const int own_n = thread % 16 % 4 * 4;
  const int own_m = thread % 16 / 4 * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 16 * 4;
    const int r0 = k;
    a_next[i][0] = 0.0f;
    a_next[i][1] = 0.0f;
    a_next[i][2] = 0.0f;
    a_next[i][3] = 0.0f;
    if (a_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + r0));
      a_next[i][0] = v.at[0];
      a_next[i][1] = v.at[1];
      a_next[i][2] = v.at[2];
      a_next[i][3] = v.at[3];
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int k = k_first + (thread + i * 256) / 4;
    const int r0 = k;
    b_next[i][0] = 0.0f;
    b_next[i][1] = 0.0f;
    b_next[i][2] = 0.0f;
    b_next[i][3] = 0.0f;
    if (b_in[i] && k < k_end) {
      const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * r0));
      b_next[i][0] = v.at[0];
      b_next[i][1] = v.at[1];
      b_next[i][2] = v.at[2];
      b_next[i][3] = v.at[3];
    }
  }
  for (int k0 = k_first; k0 < k_end; k0 += 256) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* const to = shared + 0 + ((thread + i * 256) / 16 * 4) * 20 + ((thread + i * 256) % 16);
      to[0] = a_next[i][0];
      to[20] = a_next[i][1];
      to[40] = a_next[i][2];
      to[60] = a_next[i][3];
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
        const int k = k0 + 256 + (thread + i * 256) / 16 * 4;
        const int r0 = k;
        a_next[i][0] = 0.0f;
        a_next[i][1] = 0.0f;
        a_next[i][2] = 0.0f;
        a_next[i][3] = 0.0f;
        if (a_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b0 + (a_map0[i] + r0));
          a_next[i][0] = v.at[0];
          a_next[i][1] = v.at[1];
          a_next[i][2] = v.at[2];
          a_next[i][3] = v.at[3];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = k0 + 256 + (thread + i * 256) / 4;
        const int r0 = k;
        b_next[i][0] = 0.0f;
        b_next[i][1] = 0.0f;
        b_next[i][2] = 0.0f;
        b_next[i][3] = 0.0f;
        if (b_in[i] && k < k_end) {
          const Floats4 v = *reinterpret_cast<const Floats4*>(b1 + (b_map0[i] + 24 * r0));
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
    const int place = at;
    float c0 = 0.0f;
#pragma unroll
    for (int g = 0; g < 16; ++g) c0 += shared[g * 256 + place];
    const int m = m0 + at / 16;
    const int n = n0 + at % 16;
    if (m >= 32 || n >= 24) continue;
    workspace[part * 768 + tile / 4 * 768 + m * 24 + n] = c0;
  }
}
