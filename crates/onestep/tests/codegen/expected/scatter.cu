extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    const int* b1,
    const float* b2,
    float* b4) {
  __shared__ unsigned shared_uint0[264];
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int g0 = block;
  const int first = thread;
  const int row = (int)(g0);
  float sum[2] = {0.0f, 0.0f};
  for (int k0 = 0; k0 < 700; k0 += 768) {
    unsigned found = 0u;
    for (int i = 0; i < 3; i += 1) {
      const int r0 = k0 + i * 256 + thread;
      if (r0 < 700) {
        if (b1[r0] == row) {
          found |= (1u << (unsigned)(i));
        }
      }
    }
    shared_uint0[thread] = found;
    __syncthreads();
    if (thread < 8) {
      unsigned some = 0u;
      for (int j = 0; j < 32; j += 1) {
        if (shared_uint0[thread * 32 + j] != 0u) {
          some |= (1u << (unsigned)(j));
        }
      }
      shared_uint0[256 + thread] = some;
    }
    __syncthreads();
    for (int s = 0; s < 8; s += 1) {
      const unsigned some = shared_uint0[256 + s];
      if (some != 0u) {
        for (int j = 0; j < 32; j += 1) {
          if ((some & (1u << (unsigned)(j))) != 0u) {
            const unsigned found = shared_uint0[s * 32 + j];
            for (int i = 0; i < 3; i += 1) {
              if ((found & (1u << (unsigned)(i))) != 0u) {
                const int r0 = k0 + i * 256 + s * 32 + j;
#pragma unroll
                for (int v = 0; v < 2; v += 1) {
                  const int column = first + v * 256;
                  if (column < 300) {
                    const int g1 = column;
                    sum[v] += b2[g1 + 300 * r0];
                  }
                }
              }
            }
          }
        }
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int v = 0; v < 2; v += 1) {
    const int column = first + v * 256;
    if (column < 300) {
      const int g1 = column;
      const float c0 = sum[v];
      const float e0 = c0;
      const float e1 = b0[300 * g0 + g1];
      const float e2 = e1 + e0;
      b4[300 * g0 + g1] = e2;
    }
  }
}
