#include "frontend/integer_follower.h"

#include <algorithm>
#include <numeric>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/interpreter.h"

namespace burin::frontend {
namespace {

constexpr std::int64_t kMaxElements = 64;

/// How many of the first inputs hold what is moved; the others say where to. 0: it is no movement.
std::size_t moved_inputs(const Node& node) {
  switch (node.op) {
    case OpKind::Reshape:
    case OpKind::Transpose:
    case OpKind::Slice:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze:
    case OpKind::Flatten:
    case OpKind::Gather:
    case OpKind::Expand:
    case OpKind::Tile:
    case OpKind::Split: return 1;
    case OpKind::Concat: return node.inputs.size();
    default: return 0;
  }
}

std::int64_t count_of(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1},
                         [](std::int64_t a, std::int64_t b) {
                           return a > kMaxElements || b > kMaxElements ? kMaxElements + 1 : a * b;
                         });
}

}  // namespace

IntegerFollower::IntegerFollower(Graph& graph) : graph_(graph), bound_(bound_symbols(graph)) {}

ValueId IntegerFollower::follow(ValueId result) {
  const Node* node = producer(graph_, result);
  if (node == nullptr || node->outputs.size() != 1) return result;
  const Value& value = graph_.value(result);
  if (value.elements || !has_small_integers(value)) return result;
  const std::string name = value.name;
  try {
    if (all_inputs_constant(*node)) {
      std::vector<PlainTensor> inputs;
      for (const ValueId input : node->inputs)
        inputs.push_back(input == kNone ? PlainTensor()
                                        : PlainTensor(*graph_.value(input).constant));
      const PlainTensor contents = evaluate_node(graph_, *node, inputs).front();
      return graph_.add_constant(name, contents.to_tensor(value.precision));
    }
    const auto elements = moved_elements(*node);
    if (!elements) return result;
    if (value.shape.size() > 1) {
      matrices_[result] = *elements;
    } else if (uses_only(*elements, bound_)) {
      return add_known_integers(graph_, name, value.precision, *elements, value.shape.empty());
    }
  } catch (const Error&) {  // what cannot be computed stays for whoever runs the model
  }
  return result;
}

bool IntegerFollower::has_small_integers(const Value& value) const {
  const auto dims = constant_dims(value.shape);
  return !is_float(value.precision) && dims && count_of(*dims) <= kMaxElements;
}

bool IntegerFollower::all_inputs_constant(const Node& node) const {
  return node.op != OpKind::Subgraph &&
         std::all_of(node.inputs.begin(), node.inputs.end(),
                     [this](ValueId input) { return input == kNone || graph_.is_constant(input); });
}

std::optional<IntegerFollower::Elements> IntegerFollower::elements_of(ValueId id) const {
  const Value& value = graph_.value(id);
  if (value.elements) return value.elements;
  const auto matrix = matrices_.find(id);
  if (matrix != matrices_.end()) return matrix->second;
  if (!value.constant || !has_small_integers(value)) return std::nullopt;
  Elements elements;
  for (std::int64_t i = 0; i < value.constant->size(); ++i)
    elements.emplace_back(value.constant->int_at(i));
  return elements;
}

/// Moves the numbers 0, 1, ... in place of the elements, to see which ends up where.
std::optional<IntegerFollower::Elements> IntegerFollower::moved_elements(const Node& node) const {
  const std::size_t moved = moved_inputs(node);
  if (moved == 0) return std::nullopt;
  Elements elements;
  std::vector<PlainTensor> inputs;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId input = node.inputs[i];
    if (i >= moved) {
      if (input != kNone && !graph_.is_constant(input)) return std::nullopt;
      inputs.push_back(input == kNone ? PlainTensor() : PlainTensor(*graph_.value(input).constant));
      continue;
    }
    const auto part = elements_of(input);
    const auto dims = constant_dims(graph_.value(input).shape);
    if (!part || !dims) return std::nullopt;
    std::vector<std::int64_t> places(part->size());
    std::iota(places.begin(), places.end(), static_cast<std::int64_t>(elements.size()));
    inputs.emplace_back(*dims, std::move(places));
    elements.insert(elements.end(), part->begin(), part->end());
  }
  const PlainTensor places = evaluate_node(graph_, node, inputs).front();
  Elements result;
  for (std::int64_t i = 0; i < places.size(); ++i)
    result.push_back(elements.at(static_cast<std::size_t>(places.data<std::int64_t>()[i])));
  return result;
}

}  // namespace burin::frontend
