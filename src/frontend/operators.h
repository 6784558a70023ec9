#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "burin/onnx.h"
#include "frontend/node_importer.h"

namespace burin::frontend {

/// How an operator becomes nodes.
using Converter = void (*)(NodeImporter&);

/// A line of the table of operators.
struct Operator {
  OnnxOperator is;
  Converter convert;
  std::int64_t oldest = 11;  ///< operator set that is read
};

/// The whole table, sorted by domain and name.
const std::vector<Operator>& operators();
/// nullptr for an operator that is not known.
const Operator* find_operator(std::string_view domain, std::string_view name);

// The parts of the table, each in the file of its family.
std::vector<Operator> activation_operators();
std::vector<Operator> attention_operators();
std::vector<Operator> cache_operators();
std::vector<Operator> contrib_attention_operators();
std::vector<Operator> contrib_operators();
std::vector<Operator> indicator_operators();
std::vector<Operator> quantization_operators();
std::vector<Operator> reduction_operators();
std::vector<Operator> rewritten_operators();
std::vector<Operator> rotary_operators();
/// What the graph has under the same name; lines of the other parts come first.
std::vector<Operator> direct_operators();

/// Einsum over one or two operands, as Transpose, ReduceSum, Reshape and MatMul.
void convert_einsum(NodeImporter& n);

}  // namespace burin::frontend
