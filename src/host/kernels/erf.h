#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace burin::host {

/// e^x for -87 <= x <= 0, without a branch.
inline float exp_of_negative(float x) {
  constexpr float kRound = 0x1.8p23F;  // x + kRound - kRound is the nearest whole number
  constexpr float kLog2E = 0x1.715476p+0F, kLn2Hi = 0x1.62e4p-1F, kLn2Lo = 0x1.7f7d1cp-20F;
  const float n = (x * kLog2E + kRound) - kRound;
  const float r = (x - n * kLn2Hi) - n * kLn2Lo;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

/// The error function within 2 ulp, without a branch, so that loops over it are vectors: std::erf
/// takes many times as long. A polynomial near 0, 1 - e^polynomial elsewhere.
inline float erf_of(float x) {
  const float square = x * x;
  float near = -5.96761703e-4F;
  near = near * square + 4.99119423e-3F;
  near = near * square - 2.67681349e-2F;
  near = near * square + 1.12819925e-1F;
  near = near * square - 3.76125336e-1F;
  near = near * square + 1.28379166e-1F;
  near = near * x + x;

  const float t = std::fabs(x) < 4.0F ? std::fabs(x) : 4.0F;  // erf(4) rounds to 1
  float far = -1.72853470e-5F * t + 3.83197126e-4F;
  far = far * (t * t) + (-3.88396438e-3F * t + 2.42546219e-2F);
  far = far * t - 1.06777877e-1F;
  far = far * t - 6.34846687e-1F;
  far = far * t - 1.28717512e-1F;
  far = far * t - t;
  far = std::copysign(1.0F - exp_of_negative(far), x);
  return std::fabs(x) > 0.921875F ? far : near;  // NaN is not larger
}

}  // namespace burin::host
