#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "tests/support/random.h"

namespace burin::testing {

/// Sizes around every tail: multiples of vector lengths and tiles, one less, one more.
const std::vector<std::int64_t>& tail_sizes();
/// Head sizes of models, and some that are none.
const std::vector<std::int64_t>& head_sizes();

/// A value for each symbol, such that interpreting the graph costs at most about `budget` multiplications. What a
/// symbol stands for follows from its name: B a batch, H (Hkv) heads, D (Dv) a head size, T keys (at times none), P1.. a size of 1 or
/// that of the symbol in its place (P1: N1), others a size from tail_sizes().
std::map<std::string, std::int64_t> random_symbols(const Graph& graph, Random& random, double budget);

/// Multiplications, about, that interpreting the graph costs.
double interpretation_work(const Graph& graph, const std::map<std::string, std::int64_t>& symbols);

/// What masks add to hide a key, beside the lowest float and -inf. A row may see such keys alone, where another mask
/// hides its first one: what is left of scores behind the sum depends on how large it is, and of exp of them (in a softmax
/// that takes no maximum off) something must be left, too.
inline constexpr double kHidden = -64;

/// Contents by the name of the input: mask_add.. zero, lowest, -inf or kHidden (never for the first key), mask_any..: the
/// same with whole rows of lowest, mask_rows..: with whole rows of -inf; mask_bool.. mostly true (always for the first
/// key), mask_rows..: with whole rows of false; pos.. in [0.5, 2); unit.. in
/// [-1, 1); grid.. multiples of 1/4 in [-2, 2]; others in [-2, 2).
std::vector<Tensor> random_contents(const Graph& graph, const std::map<std::string, std::int64_t>& symbols, Random& random);

}  // namespace burin::testing
