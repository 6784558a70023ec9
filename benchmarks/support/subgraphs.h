#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "burin/graph.h"

namespace burin::bench {

/// An attention problem: Q is [B, S, H, D], K and V are [B, keys, kv_heads, D].
struct AttentionShape {
  std::int64_t batch, sequence, heads, head_size;
  std::int64_t keys = sequence;
  std::int64_t kv_heads = heads;  ///< divides heads
};
inline constexpr std::array<AttentionShape, 6> kAttentionShapes = {
    {{1, 32, 12, 64}, {1, 128, 12, 64}, {1, 384, 12, 64}, {1, 1024, 10, 64}, {1, 1500, 20, 64}, {1, 4096, 8, 40}}};

/// What is added to the scores: nothing, [B, 1, 1, keys], [B, 1, S, keys], [B, H, S, keys], or what is computed from
/// positions.
enum class Mask : std::uint8_t { none, key, full, head, causal };
inline constexpr std::array kMasks = {Mask::none, Mask::key, Mask::full, Mask::head, Mask::causal};
const char* to_string(Mask mask);

/// Scaled dot-product attention. Dynamic: batch, sequence and number of keys are symbols (one
/// symbol where there are as many keys as queries); static: all dimensions are numbers. `chain`:
/// element-wise operations between scale and softmax, of "add", "mul", "div", "relu", "abs", "neg",
/// "tanh".
Graph attention(const AttentionShape& shape, Mask mask, bool dynamic, const std::vector<std::string>& chain = {});
/// Of its symbols.
std::map<std::string, std::int64_t> attention_symbols(const AttentionShape& shape);
/// 4 * B * H * S * keys * D
double attention_flops(const AttentionShape& shape);

/// The chains of element-wise operations, over [M, N] (and [N] for bias and scale).
const std::vector<std::string>& elementwise_kinds();
Graph elementwise(const std::string& kind, std::int64_t rows, std::int64_t columns, bool dynamic);

/// A product of [M, depth] with a constant weight.
struct ProductShape {
  std::int64_t rows, depth, columns;
};
inline constexpr std::array<ProductShape, 12> kProductShapes = {{{1, 768, 768},
                                                                 {8, 768, 3072},
                                                                 {31, 768, 768},
                                                                 {34, 768, 3072},
                                                                 {128, 768, 768},
                                                                 {128, 768, 3072},
                                                                 {128, 3072, 768},
                                                                 {128, 1024, 1024},
                                                                 {197, 768, 3072},
                                                                 {1500, 768, 3072},
                                                                 {4096, 320, 320},
                                                                 {4096, 1280, 320}}};
/// What follows: "none", "bias_gelu", "bias_residual".
const std::vector<std::string>& product_epilogues();
/// Rows are the symbol M.
Graph product(const ProductShape& shape, const std::string& epilogue);

/// Normal numbers, in the shapes that the symbols give.
std::vector<Tensor> random_inputs(const Graph& body, const std::map<std::string, std::int64_t>& symbols);

/// A compiled subgraph with random inputs of given shapes, bound and ready to run.
class Problem {
 public:
  Problem(const Graph& body, const std::map<std::string, std::int64_t>& symbols, int threads, const CompileOptions& options = {});
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
