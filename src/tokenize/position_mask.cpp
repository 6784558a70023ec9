#include "tokenize/position_mask.h"

#include <algorithm>

#include "tokenize/attention_match.h"
#include "tokenize/carve.h"

namespace burin {
namespace {

/// Larger ones are no masks.
constexpr std::size_t kMaxOperations = 32;

/// Cheap enough to be computed by each attention and head. Sums are all that is done to integers:
/// kernels compute these as exactly as in integers, as long as they are small.
bool is_cheap(OpKind op, bool on_integers) {
  switch (op) {
    case OpKind::Add:
    case OpKind::Sub:
    case OpKind::Neg:
    case OpKind::Abs:
    case OpKind::Min:
    case OpKind::Max:
    case OpKind::Where:
    case OpKind::Cast: return true;
    case OpKind::Mul:
    case OpKind::Div:
    case OpKind::And:
    case OpKind::Or:
    case OpKind::Xor:
    case OpKind::Not:
    case OpKind::IsInf: return !on_integers;
    default: return info(op).category == OpCategory::compare;
  }
}

/// The same dimensions, but for ones in front.
bool adds_only_ones_in_front(const Shape& a, const Shape& b) {
  const auto first = [](const Shape& s) {
    return std::find_if(s.begin(), s.end(), [](const Expr& e) { return e != Expr(1); });
  };
  return std::equal(first(a), a.end(), first(b), b.end());
}

std::optional<PositionMask::Triangle> as_triangle(const Tensor& tensor) {
  const Dims& dims = tensor.dims();
  const std::int64_t rank = static_cast<std::int64_t>(dims.size());
  if (rank < 2) return std::nullopt;
  const std::int64_t queries = dims[dims.size() - 2], keys = dims.back();
  if (queries < 2 || keys < 2 || tensor.size() != queries * keys) return std::nullopt;
  std::int64_t first_hidden = 1;
  while (first_hidden < keys && tensor.at(first_hidden) == tensor.at(0)) ++first_hidden;
  if (first_hidden == keys) return std::nullopt;
  const PositionMask::Triangle triangle{first_hidden - 1, tensor.at(0), tensor.at(first_hidden)};
  for (std::int64_t q = 0; q < queries; ++q)
    for (std::int64_t k = 0; k < keys; ++k)
      if (tensor.at(q * keys + k) != (k <= q + triangle.offset ? triangle.seen : triangle.hidden))
        return std::nullopt;
  return triangle;
}

class Matcher {
 public:
  explicit Matcher(const Graph& graph) : graph_(graph) {}

  std::optional<PositionMask> match(ValueId value) {
    auto mask = visit(value, {});
    return mask && (!mask->is_leaf() || mask->triangle) && has_position_ ? mask : std::nullopt;
  }

 private:
  using Views = std::vector<NodeId>;

  std::optional<PositionMask> visit(ValueId value, Views views) {
    if (value == kNone) return std::nullopt;
    if (is_leaf(value, views)) return leaf(value, std::move(views));
    if (const auto triangle = triangle_of(value); triangle && views.empty()) {
      has_position_ = true;
      PositionMask mask = leaf(value, {});
      mask.triangle = triangle;
      return mask;
    }
    const NodeId producer = graph_.value(value).producer;
    if (producer == kNone) return std::nullopt;
    const Node& node = graph_.node(producer);
    if (is_view(node.op)) return visit(node.inputs[0], with_view(producer, std::move(views)));
    if (!is_computed(node) || ++operations_ > kMaxOperations) return std::nullopt;
    PositionMask mask = leaf(value, {});
    mask.node = producer;
    for (const ValueId input : node.inputs) {
      if (!views.empty() && !keeps_its_place(input, value)) return std::nullopt;
      auto operand = visit(input, views);
      if (!operand) return std::nullopt;
      mask.operands.push_back(std::move(*operand));
    }
    return mask;
  }

  static PositionMask leaf(ValueId value, Views views) {
    PositionMask mask;
    mask.value = value;
    mask.views = std::move(views);
    return mask;
  }

  std::optional<PositionMask::Triangle> triangle_of(ValueId value) const {
    const Value& v = graph_.value(value);
    return v.constant && is_f32_or_bool(v) ? as_triangle(*v.constant) : std::nullopt;
  }

  /// One that adds dimensions of 1 in front does nothing to what broadcasts.
  Views with_view(NodeId view, Views views) const {
    const Node& node = graph_.node(view);
    if (views.empty() && adds_only_ones_in_front(shape(node.inputs[0]), shape(node.outputs[0])))
      return views;
    views.insert(views.begin(), view);
    return views;
  }

  bool is_leaf(ValueId value, const Views& views) {
    if (is_position(graph_, value)) return has_position_ = true;
    if (has_one_element(graph_, value))
      return is_f32_or_bool(graph_.value(value)) || graph_.is_constant(value) ||
             is_known_integer(graph_, value);
    return is_f32_or_bool(graph_.value(value)) && views.empty() && !is_matrix(value);
  }

  /// An element for each query and each key.
  bool is_matrix(ValueId value) const {
    const Shape& dims = shape(value);
    return dims.size() >= 2 && dims[dims.size() - 1] != Expr(1) && dims[dims.size() - 2] != Expr(1);
  }

  bool is_computed(const Node& node) const {
    const Value& out = graph_.value(node.outputs[0]);
    const bool is_integer = !is_f32_or_bool(out);
    if (is_integer && (is_float(out.precision) || size_of(out.precision) < sizeof(float))) return false;
    const bool rounds =
        node.op == OpKind::Cast && is_integer && is_float(graph_.value(node.inputs[0]).precision);
    return is_cheap(node.op, is_integer) && !rounds;
  }

  /// What is done to the result's dimensions can as well be done to the operand's.
  bool keeps_its_place(ValueId operand, ValueId result) const {
    return has_one_element(graph_, operand) || shape(operand) == shape(result);
  }

  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }

  const Graph& graph_;
  bool has_position_ = false;
  std::size_t operations_ = 0;
};

}  // namespace

std::optional<PositionMask> match_position_mask(const Graph& graph, ValueId value) {
  return Matcher(graph).match(value);
}

}  // namespace burin
