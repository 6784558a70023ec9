#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "burin/graph.h"

namespace burin::bench {

/// An attention problem: inputs of layout [B, S, H, D].
struct AttentionShape {
  std::int64_t batch, sequence, heads, head_size;
};
inline constexpr std::array<AttentionShape, 6> kAttentionShapes = {
    {{1, 32, 12, 64}, {1, 128, 12, 64}, {1, 384, 12, 64}, {1, 1024, 10, 64}, {1, 1500, 20, 64}, {1, 4096, 8, 40}}};

enum class Mask : std::uint8_t { none, key, full };
const char* to_string(Mask mask);

/// Scaled dot-product attention. Dynamic: batch and sequence are symbols; static: all dimensions are numbers.
/// `chain`: cheap element-wise operations between scale and softmax, of "add", "mul", "relu", "abs", "neg".
Graph attention(const AttentionShape& shape, Mask mask, bool dynamic, const std::vector<std::string>& chain = {});
/// 4 * B * H * S * S * D
double attention_flops(const AttentionShape& shape);

/// The chains of element-wise operations, over [M, N] (and [N] for bias and scale).
const std::vector<std::string>& elementwise_kinds();
Graph elementwise(const std::string& kind, std::int64_t rows, std::int64_t columns, bool dynamic);

/// A compiled subgraph with random inputs of given shapes, bound and ready to run.
class Problem {
 public:
  Problem(const Graph& body, const std::map<std::string, std::int64_t>& symbols, int threads);
  void run();

 private:
  CompiledSubgraph compiled_;
  Invocation invocation_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
  int threads_;
};

}  // namespace burin::bench
