#pragma once

#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// Whether an element-wise group pays as one kernel; if not, why.
///
/// What fusion saves is one pass over memory (write and read again) for each value inside of the
/// group, and one call of a stand-alone operation for each node but one. What it costs is a call of
/// a kernel of its own, with the binding of shapes. So a group pays
///
/// - if two or more of its operations compute something or move elements. A Cast, an Identity, a Not, a Reshape, a Squeeze
///   and an Unsqueeze do not count: in a kernel they cost next to nothing, alone they save nothing. One operation is enough
///   where it is several passes by itself (a softmax, a normalisation, a GELU);
/// - and if its tensors are not tiny (is_tiny; what is gets into no group).
///
/// The reasons: "computes nothing" where no operation counts, "one cheap operation" where one does that is a single pass.
std::optional<std::string> why_not_worth_it(const Graph& graph, const std::vector<NodeId>& nodes);

/// Why an attention does not pay, though it could be carved; nothing if it pays. Measured at 256 to 2048 queries: up to heads
/// of 384 it is as fast as stand-alone products or faster, with 512 a third slower at 2048 and no faster at 256. A block of
/// queries then leaves the nearest cache, and keys and values leave the second one for each. (With so few queries that they
/// are one block, nothing is read twice.)
std::optional<std::string> why_attention_is_left(const Expr& queries, const Expr& head, const Expr& value);

/// Why a MatMul or Gemm is no product with a weight that Burin's own kernel computes at least as fast as a library's;
/// nothing if it is one. Measured (docs/performance.md): the kernel is as fast as oneDNN's from one row on, for any
/// length of the sums; columns fill at least one vector.
std::optional<std::string> why_product_is_left(const Graph& graph, const Node& node);

/// Of what broadcasts to rows and columns: one number, or one a column, not as many in another dimension ([N,1] is one a
/// row).
bool is_vector_of_columns(const Tensor& constant);

inline constexpr std::int64_t kLargestHead = 384;
/// Queries of one block, whatever the instruction set.
inline constexpr std::int64_t kOneBlock = 24;

/// Columns below which a product's vectors are mostly empty.
inline constexpr std::int64_t kFewColumns = 16;

/// Tensors of fewer elements are not worth a kernel.
inline constexpr std::int64_t kTinyElements = 64;
/// The number of elements is a constant below kTinyElements; a size that is not a number counts as large.
bool is_tiny(const Shape& shape);
std::string why_tiny_is_left();

}  // namespace burin
