#include <algorithm>
#include <cstddef>
#include <limits>

#include "graph/canonicalize.h"
#include "graph/shape_math.h"

namespace burin {
namespace {

/// Larger constants are not looked at.
constexpr std::int64_t kMaxScannedElements = 4096;
/// How many nodes back a range is sought.
constexpr int kMaxSteps = 16;

/// What the elements of an integer tensor lie between, both included.
struct Range {
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};

class Comparisons {
 public:
  explicit Comparisons(Graph& graph)
      : graph_(graph), math_(graph.facts), bound_(bound_symbols(graph)) {}

  bool run() {
    Redirects redirects;
    for (const NodeId id : graph_.order()) {
      const Node node = graph_.node(id);
      const auto result = decide(node);
      const Shape shape = graph_.value(node.outputs[0]).shape;
      if (!result || !uses_only(shape, bound_)) continue;
      const std::string name = node.name;
      const ValueId scalar = graph_.add_constant(
          name + ".result", Tensor::scalar(Precision::boolean, *result ? 1 : 0));
      const ValueId target =
          add_known_integers(graph_, name + ".shape", Precision::i64, shape, false);
      redirects.add(node.outputs[0],
                    graph_.add_op(OpKind::Expand, name + ".expand", {scalar, target}));
    }
    return redirects.apply(graph_);
  }

 private:
  std::optional<bool> decide(const Node& node) const {
    if (info(node.op).category != OpCategory::compare) return std::nullopt;
    const ValueId left = node.inputs[0];
    const ValueId right = node.inputs[1];
    if (is_float(graph_.value(left).precision)) return std::nullopt;
    switch (node.op) {
      case OpKind::Less: return less(left, right);
      case OpKind::Greater: return less(right, left);
      case OpKind::LessOrEqual: return negated(less(right, left));
      case OpKind::GreaterOrEqual: return negated(less(left, right));
      default: return std::nullopt;
    }
  }

  static std::optional<bool> negated(std::optional<bool> value) {
    return value ? std::optional(!*value) : std::nullopt;
  }

  /// Whether all elements of a are less than those of b, or none is.
  std::optional<bool> less(ValueId a, ValueId b) const {
    const Range x = range(a, kMaxSteps);
    const Range y = range(b, kMaxSteps);
    if (x.high < y.low) return true;
    if (x.low >= y.high) return false;
    return std::nullopt;
  }

  Range range(ValueId id, int steps) const {
    const Value& value = graph_.value(id);
    if (value.constant) return range(*value.constant);
    if (value.elements) return range(*value.elements);
    const Node* maker = producer(graph_, id);
    if (maker == nullptr || steps == 0) return {};
    switch (maker->op) {
      case OpKind::Range: return range_of_steps(*maker);
      case OpKind::Reshape:
      case OpKind::Squeeze:
      case OpKind::Unsqueeze:
      case OpKind::Flatten:
      case OpKind::Transpose:
      case OpKind::Expand:
      case OpKind::Slice: return range(maker->inputs[0], steps - 1);
      default: return {};
    }
  }

  static Range range(const Tensor& tensor) {
    if (tensor.size() == 0 || tensor.size() > kMaxScannedElements) return {};
    Range result{tensor.int_at(0), tensor.int_at(0)};
    for (std::int64_t i = 1; i < tensor.size(); ++i) {
      result.low = std::min(result.low, tensor.int_at(i));
      result.high = std::max(result.high, tensor.int_at(i));
    }
    return result;
  }

  Range range(const std::vector<Expr>& elements) const {
    const bool natural = std::all_of(elements.begin(), elements.end(),
                                     [this](const Expr& e) { return math_.at_least(e, 0); });
    return natural ? Range{0, std::numeric_limits<std::int64_t>::max()} : Range{};
  }

  /// A Range begins with its lowest number, if it goes upwards.
  Range range_of_steps(const Node& node) const {
    const Range start = range(node.inputs[0], 0);
    const Range step = range(node.inputs[2], 0);
    return step.low > 0 ? Range{start.low, std::numeric_limits<std::int64_t>::max()} : Range{};
  }

  Graph& graph_;
  ShapeMath math_;
  std::set<std::string> bound_;
};

}  // namespace

bool decide_comparisons(Graph& graph) { return Comparisons(graph).run(); }

}  // namespace burin
