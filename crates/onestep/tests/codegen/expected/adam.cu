extern "C" __global__ void __launch_bounds__(256) k0(
    float* b0,
    float* b1,
    float* b2,
    const float* b3) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  if (item >= 25000) {
    return;
  }
  const int g0_first = item * 4;
  {
    const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (g0_first));
    const Floats4 v1 = *reinterpret_cast<const Floats4*>(b1 + (g0_first));
    const float e2 = 0.9f;
    const Floats4 v4 = *reinterpret_cast<const Floats4*>(b3 + (g0_first));
    const Floats4 v6 = *reinterpret_cast<const Floats4*>(b2 + (g0_first));
    Floats4 s0 = Floats4{};
    Floats4 s1 = Floats4{};
    Floats4 s2 = Floats4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g0 = g0_first + part;
      const float e0 = v0.at[part];
      const float e1 = v1.at[part];
      const float e3 = e1 * e2;
      const float e4 = v4.at[part];
      const float e5 = e3 + e4;
      const float e6 = v6.at[part];
      const float e7 = e6 * e6;
      const float e8 = e7 * e2;
      const float e9 = e4 * e4;
      const float e10 = e8 + e9;
      const float e11 = e10 + e2;
      const float e12 = sqrtf(e11);
      const float e13 = e5 / e12;
      const float e14 = e0 - e13;
      s0.at[part] = e14;
      s1.at[part] = e5;
      s2.at[part] = e10;
    }
    *reinterpret_cast<Floats4*>(b0 + (g0_first)) = s0;
    *reinterpret_cast<Floats4*>(b1 + (g0_first)) = s1;
    *reinterpret_cast<Floats4*>(b2 + (g0_first)) = s2;
  }
}
