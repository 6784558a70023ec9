#include "tokenize/attention.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/positions.h"
#include "tokenize/attention_match.h"
#include "tokenize/axis_view.h"
#include "tokenize/carve.h"
#include "tokenize/position_mask.h"

namespace burin {
namespace {

Shape concat(const Shape& a, const Shape& b) {
  Shape result = a;
  result.insert(result.end(), b.begin(), b.end());
  return result;
}

/// The batch dimensions of an attention, split as finely as any of its tensors has them.
///
/// Example: scores [16*B, S, S] that a Reshape turns into [B, 16, S, S] have the parts {B, 16}.
class BatchParts {
 public:
  BatchParts(Shape dimensions, const Facts& facts) : facts_(facts), parts_(std::move(dimensions)) {}

  const Shape& parts() const { return parts_; }

  /// Splits parts where `dimensions`, which have the same product, are finer. False if they do not
  /// fit.
  bool refine(const Shape& dimensions) {
    Shape refined;
    std::size_t part = 0, dimension = 0;
    while (part < parts_.size() && dimension < dimensions.size()) {
      if (const std::size_t count = how_many(dimensions, dimension, parts_[part]); count > 0) {
        refined.insert(refined.end(), at(dimensions, dimension), at(dimensions, dimension + count));
        dimension += count;
        ++part;
      } else if (const std::size_t parts = how_many(parts_, part, dimensions[dimension]);
                 parts > 0) {
        refined.insert(refined.end(), at(parts_, part), at(parts_, part + parts));
        part += parts;
        ++dimension;
      } else {
        return false;
      }
    }
    for (; part < parts_.size(); ++part) refined.push_back(parts_[part]);
    for (; dimension < dimensions.size(); ++dimension) refined.push_back(dimensions[dimension]);
    if (!equal(product(refined), product(parts_)) || !equal(product(refined), product(dimensions)))
      return false;
    parts_ = refined;
    return true;
  }

  /// How many parts each of the dimensions has. Throws Refusal if they do not fit.
  std::vector<std::size_t> counts(const Shape& dimensions) const {
    std::vector<std::size_t> counts;
    std::size_t next = 0;
    for (const Expr& dimension : dimensions) {
      std::size_t count = 0;
      Expr size = 1;
      while (next < parts_.size() && (count == 0 || !equal(size, dimension))) {
        if (count == 0 && dimension == Expr(1) && parts_[next] != Expr(1)) break;
        size *= parts_[next++];
        ++count;
      }
      if (!equal(size, dimension))
        throw Refusal{fmt::format("batch dimensions {} do not fit {}", to_string(dimensions),
                                  to_string(parts_))};
      counts.push_back(count);
    }
    for (; next < parts_.size() && parts_[next] == Expr(1) && !counts.empty(); ++next)
      ++counts.back();
    if (next < parts_.size())
      throw Refusal{fmt::format("batch dimensions {} do not fit {}", to_string(dimensions),
                                to_string(parts_))};
    return counts;
  }

  /// The shape of an operand whose batch dimensions are broadcast to `full`, with the batch
  /// dimensions split.
  Shape lift(const Shape& operand, const Shape& full) const {
    if (operand.size() < 3) return operand;
    const std::vector<std::size_t> parts_of = counts(batch(full));
    Shape lifted;
    std::size_t next = parts_.size();
    for (std::size_t i = 2; i < operand.size();
         ++i) {  // from the innermost batch dimension outwards
      const Expr& dimension = operand[operand.size() - 1 - i];
      const std::size_t count = parts_of[parts_of.size() + 1 - i];
      Shape pieces(count, Expr(1));
      if (equal(dimension, full[full.size() - 1 - i])) {
        pieces.assign(parts_.begin() + static_cast<std::ptrdiff_t>(next - count),
                      parts_.begin() + static_cast<std::ptrdiff_t>(next));
      } else if (dimension != Expr(1)) {
        if (count != 1)
          throw Refusal{fmt::format("{} may or may not be repeated to {}", dimension.to_string(),
                                    full[full.size() - 1 - i].to_string())};
        pieces = {dimension};
      }
      next -= count;
      lifted.insert(lifted.begin(), pieces.begin(), pieces.end());
    }
    lifted.insert(lifted.end(), operand.end() - 2, operand.end());
    return lifted;
  }

  static Shape batch(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

 private:
  static Expr product(const Shape& shape) {
    Expr result = 1;
    for (const Expr& dimension : shape) result *= dimension;
    return result;
  }
  static Shape::const_iterator at(const Shape& shape, std::size_t i) {
    return shape.begin() + static_cast<std::ptrdiff_t>(i);
  }
  /// How many of the dimensions from `first` on have this product; 0 if none have.
  std::size_t how_many(const Shape& dimensions, std::size_t first, const Expr& whole) const {
    Expr size = 1;
    for (std::size_t i = first; i < dimensions.size(); ++i)
      if (equal(size *= dimensions[i], whole)) return i - first + 1;
    return 0;
  }
  bool equal(const Expr& a, const Expr& b) const { return a == b || facts_.proves_equal(a, b); }

  const Facts& facts_;
  Shape parts_;
};

/// Builds the body of one match.
class AttentionBuilder {
 public:
  AttentionBuilder(Graph& graph, const AttentionMatch& match, std::string name)
      : graph_(graph),
        match_(match),
        carver_(graph, std::move(name)),
        scores_shape_(graph.value(graph.node(match.query_key).outputs[0]).shape),
        parts_(BatchParts::batch(scores_shape_), graph.facts) {}

  NodeId build() {
    find_parts();
    const ValueId query = import_operand(match_.query, scores_shape_);
    const ValueId key = import_operand(match_.key, scores_shape_);
    const Node& query_key = graph_.node(match_.query_key);
    values_[query_key.outputs[0]] =
        checked(carver_.clone(query_key, {query, key}), query_key.outputs[0]);

    for (const NodeId id : match_.middle) build_middle(graph_.node(id));

    const Node product = graph_.node(match_.probability_value);
    const Shape result_shape = graph_.value(product.outputs[0]).shape;
    const ValueId value = import_operand(match_.value, result_shape);
    const ValueId result =
        checked(carver_.clone(product, {values_.at(product.inputs[0]), value}), product.outputs[0]);
    return finish(product.outputs[0], result);
  }

  /// Of a mask that the body computes.
  const std::set<NodeId>& mask_nodes() const { return mask_nodes_; }

 private:
  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }

  /// Splits the batch dimensions as every Reshape between the MatMuls needs, and as those do that
  /// merge them in front of the operands and split them behind the result.
  void find_parts() {
    for (const NodeId id : match_.middle) {
      const Shape& result = shape(graph_.node(id).outputs[0]);
      if (is_view(graph_.node(id).op) && !parts_.refine(BatchParts::batch(result)))
        throw Refusal{fmt::format("Reshape '{}' to {} mixes the batch dimensions {}",
                                  name_of(graph_, id), to_string(result),
                                  to_string(parts_.parts()))};
    }
    for (const AttentionOperand* operand : {&match_.query, &match_.key, &match_.value})
      refine_by(*operand);
  }

  void refine_by(const AttentionOperand& operand) {
    if (shape(operand.value).size() != scores_shape_.size()) return;
    for (std::size_t skip = 0; skip < operand.chain.size(); ++skip) {
      const auto view = view_of(operand, skip);
      if (!view || view->is_split()) continue;
      Shape dimensions;
      for (std::size_t d = 0; d + 2 < view->groups().size(); ++d) {
        Shape sizes;
        for (const AxisView::Axis& axis : view->groups()[d]) {
          if (axis.is_repeated() && !sizes.empty()) {
            sizes.back() *= axis.size;
          } else {
            sizes.push_back(axis.size);
          }
        }
        if (sizes.empty()) sizes.push_back(Expr(1));
        dimensions.insert(dimensions.end(), sizes.begin(), sizes.end());
      }
      BatchParts refined = parts_;
      if (refined.refine(dimensions)) parts_.refine(dimensions);
      return;
    }
  }

  /// The operand through the nodes of its chain but the first `skip`.
  std::optional<AxisView> view_of(const AttentionOperand& operand, std::size_t skip) const {
    AxisView view(shape(source_of(operand, skip)), graph_.facts);
    for (std::size_t i = skip; i < operand.chain.size(); ++i) {
      const Node& node = graph_.node(operand.chain[i]);
      if (is_view(node.op) && !view.apply(graph_, node)) return std::nullopt;
    }
    return view;
  }

  ValueId source_of(const AttentionOperand& operand, std::size_t skip) const {
    if (skip == operand.chain.size()) return operand.value;
    const Node& first = graph_.node(operand.chain[skip]);
    return first.inputs[scaled_input(graph_, first).value_or(0)];
  }

  /// As much of the chain as makes a plain view; one that needs no Reshape outside is better.
  ValueId import_operand(const AttentionOperand& operand, const Shape& full) {
    const Shape lifted = parts_.lift(shape(operand.value), full);
    for (const bool allow_split : {false, true}) {
      for (std::size_t skip = 0; skip <= operand.chain.size(); ++skip) {
        auto view = view_of(operand, skip);
        if (!view || !view->reshape(lifted) || !view->is_plain() ||
            (view->is_split() && !allow_split))
          continue;
        if (repeats_matrix(*view) || repeats_unknown_times(*view)) continue;
        const ValueId value = carver_.import(source_of(operand, skip), *view, &operand == &match_.query);
        return scale(value, operand.chain, skip);
      }
    }
    throw Refusal{fmt::format("'{}' {} is no view with dimensions {}",
                              graph_.value(operand.value).name, to_string(shape(operand.value)),
                              to_string(lifted))};
  }

  /// Rows or columns of the matrix itself are repeated: MatMul does not broadcast these.
  static bool repeats_matrix(const AxisView& view) {
    const auto& groups = view.groups();
    const auto repeats = [](const AxisView::Group& group) {
      return std::any_of(group.begin(), group.end(),
                         [](const AxisView::Axis& axis) { return axis.is_repeated(); });
    };
    return std::any_of(groups.end() - 2, groups.end(), repeats);
  }

  static bool repeats_unknown_times(const AxisView& view) {
    return std::any_of(
        view.groups().begin(), view.groups().end(), [](const AxisView::Group& group) {
          return !group.empty() && group.front().size != Expr(1) && !group.front().is_repeated() &&
                 group.back().is_repeated() && !group.back().size.is_constant();
        });
  }

  ValueId scale(ValueId value, const std::vector<NodeId>& chain, std::size_t skip = 0) {
    for (std::size_t i = skip; i < chain.size(); ++i) {
      const Node& node = graph_.node(chain[i]);
      const auto tensor = scaled_input(graph_, node);
      if (!tensor) continue;
      std::vector<ValueId> inputs = {value, value};
      inputs[1 - *tensor] = carver_.import(node.inputs[1 - *tensor]);
      value = carver_.clone(node, inputs);
    }
    return value;
  }

  /// Another value that a node between the MatMuls reads: a mask, a bias, a number.
  ValueId import_other(ValueId value, const Shape& full) {
    if (has_one_element(graph_, value)) return carver_.import(value);
    if (const auto mask = match_position_mask(graph_, value); mask && can_import(*mask, full))
      return import_mask(*mask, full);
    const AttentionOperand operand{value, {}};
    if (const auto seen = see(operand, full)) return carver_.import(seen->source, seen->view);
    throw Refusal{fmt::format("'{}' {} cannot be read with dimensions {}", graph_.value(value).name,
                              to_string(shape(value)), to_string(parts_.lift(shape(value), full)))};
  }

  /// A value of the body as a plain view of a source outside.
  struct Seen {
    ValueId source;
    AxisView view;
  };

  std::optional<Seen> see(AttentionOperand operand, const Shape& full) const {
    const Shape lifted = parts_.lift(shape(operand.value), full);
    for (ValueId source = operand.chain.empty() ? operand.value : source_of(operand, 0);
         ;) {  // views that repeat or rename; a transposed mask is better made once
      const NodeId producer = graph_.value(source).producer;
      if (producer == kNone || !is_view(graph_.node(producer).op) ||
          graph_.node(producer).op == OpKind::Transpose)
        break;
      operand.chain.insert(operand.chain.begin(), producer);
      source = graph_.node(producer).inputs[0];
    }
    for (const bool allow_split : {false, true}) {
      for (std::size_t skip = 0; skip <= operand.chain.size(); ++skip) {
        auto view = view_of(operand, skip);
        if (!view || !view->reshape(lifted) || !view->is_plain() ||
            (view->is_split() && !allow_split))
          continue;
        if (repeats_unknown_times(*view)) continue;
        return Seen{source_of(operand, skip), *view};
      }
    }
    return std::nullopt;
  }

  bool can_import(const PositionMask& mask, const Shape& full) const {
    if (mask.triangle) return true;
    if (mask.is_leaf()) try {
        return has_one_element(graph_, mask.value) || see_leaf(mask, full);
      } catch (const Refusal&) {
        return false;
      }
    return std::all_of(mask.operands.begin(), mask.operands.end(),
                       [&](const PositionMask& operand) { return can_import(operand, full); });
  }

  ValueId import_mask(const PositionMask& mask, const Shape& full) {
    if (mask.triangle) return make_triangle(*mask.triangle, graph_.value(mask.value));
    if (mask.is_leaf()) {
      if (has_one_element(graph_, mask.value)) return carver_.import(mask.value);
      const auto seen = see_leaf(mask, full);
      return carver_.import(seen->source, seen->view);
    }
    mask_nodes_.insert(mask.node);
    std::vector<ValueId> operands;
    for (const PositionMask& operand : mask.operands)
      operands.push_back(import_mask(operand, full));
    return carver_.clone(graph_.node(mask.node), operands);
  }

  /// A constant triangle from positions.
  ValueId make_triangle(const PositionMask::Triangle& triangle, const Value& constant) {
    Graph& body = carver_.body();
    const auto integer = [&](std::int64_t value) {
      return add_known_integers(body, "", Precision::i64, {Expr(value)}, true);
    };
    const auto number = [&](double value) {
      return body.add_constant("", Tensor::scalar(constant.precision, value));
    };
    const Dims& dims = constant.constant->dims();
    const ValueId seen = add_comparison_of_positions(
        body, OpKind::LessOrEqual, dims[dims.size() - 2], dims.back(), integer(triangle.offset));
    if (constant.precision == Precision::boolean)
      return triangle.seen != 0 ? seen : body.add_op(OpKind::Not, "", {seen});
    return body.add_op(OpKind::Where, "", {seen, number(triangle.seen), number(triangle.hidden)});
  }

  /// Integers are computed in the body: they do not enter through a Reshape outside.
  std::optional<Seen> see_leaf(const PositionMask& leaf, const Shape& full) const {
    const AttentionOperand operand{
        leaf.views.empty() ? leaf.value : graph_.node(leaf.views.back()).outputs[0], leaf.views};
    auto seen = see(operand, full);
    // The views may stand behind a sum of which the leaf is a term: it has the same dimensions.
    if (seen && !leaf.views.empty() && seen->source == source_of(operand, 0))
      seen->source = leaf.value;
    const bool is_integer = !is_f32_or_bool(graph_.value(leaf.value));
    if (seen && is_integer && (!is_position(graph_, seen->source) || seen->view.is_split()))
      return std::nullopt;
    return seen;
  }

  void build_middle(const Node node) {  // a copy: importing may add nodes outside
    const ValueId result = node.outputs[0];
    if (is_view(node.op)) {
      values_[result] = values_.at(node.inputs[0]);
      return;
    }
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) {
      if (input == kNone) {
        inputs.push_back(kNone);
      } else if (const auto known = values_.find(input); known != values_.end()) {
        inputs.push_back(known->second);
      } else {
        inputs.push_back(import_other(input, shape(result)));
      }
    }
    Node lifted = node;
    if (node.op == OpKind::Softmax)
      lifted.attributes["axis"] = static_cast<std::int64_t>(parts_.parts().size()) + 1;
    values_[result] = checked(carver_.clone(lifted, inputs), result);
  }

  /// The value of the body has the shape of the one outside, with split batch dimensions.
  ValueId checked(ValueId inside, ValueId outside) {
    const Shape& full = shape(outside);
    const Shape expected = concat(parts_.parts(), {full.end() - 2, full.end()});
    const Shape& actual = carver_.body().value(inside).shape;
    bool same = actual.size() == expected.size();
    for (std::size_t d = 0; same && d < actual.size(); ++d)
      same = actual[d] == expected[d] || graph_.facts.proves_equal(actual[d], expected[d]);
    if (!same)
      throw Refusal{fmt::format("'{}' {} would be {} in the body, not {}",
                                graph_.value(outside).name, to_string(full), to_string(actual),
                                to_string(expected))};
    return inside;
  }

  /// Takes in what stands behind the result, as far as each dimension is one axis again.
  NodeId finish(ValueId outside, ValueId inside) {
    AxisView view(carver_.body().value(inside).shape, graph_.facts);
    ValueId clean = kNone;
    std::vector<std::int64_t> perm;
    std::size_t taken = 0;
    const auto note_if_clean = [&](ValueId value, std::size_t count) {
      std::vector<std::int64_t> axes;
      for (const AxisView::Group& group : view.groups()) {
        if (group.size() != 1 || group[0].is_repeated()) return;
        axes.push_back(static_cast<std::int64_t>(group[0].source));
      }
      if (view.is_split() || axes.size() != view.source().size()) return;
      clean = value;
      perm = axes;
      taken = count;
    };
    if (view.reshape(shape(outside))) {
      note_if_clean(outside, 0);
      for (std::size_t i = 0; i < match_.behind.size(); ++i) {
        const Node& node = graph_.node(match_.behind[i]);
        if (is_view(node.op) && !view.apply(graph_, node)) break;
        note_if_clean(node.outputs[0], i + 1);
      }
    }
    if (clean == kNone) return carver_.finish({{outside, inside}});

    const std::vector<NodeId> behind(match_.behind.begin(),
                                     match_.behind.begin() + static_cast<std::ptrdiff_t>(taken));
    inside = scale(inside, behind);
    if (!std::is_sorted(perm.begin(), perm.end()))
      inside = carver_.body().add_op(OpKind::Transpose, "", {inside}, {{"perm", perm}});
    return carver_.finish({{clean, inside}});
  }

  Graph& graph_;
  const AttentionMatch& match_;
  std::set<NodeId> mask_nodes_;
  Carver carver_;
  Shape scores_shape_;
  BatchParts parts_;
  std::map<ValueId, ValueId> values_;  ///< of the middle: outside -> in the body
};

std::vector<NodeId> all_nodes(const AttentionMatch& match, std::set<NodeId> nodes) {
  nodes.insert(match.middle.begin(), match.middle.end());
  for (const auto* part : {&match.query.chain, &match.key.chain, &match.value.chain, &match.behind})
    nodes.insert(part->begin(), part->end());
  nodes.insert({match.query_key, match.probability_value});
  return {nodes.begin(), nodes.end()};
}

void carve_attention(Graph& graph, NodeId softmax, TokenizeReport& report) {
  std::vector<std::string> candidate = {name_of(graph, softmax)};
  try {
    const AttentionMatch match = match_attention(graph, softmax);
    candidate = {name_of(graph, match.query_key), name_of(graph, softmax),
                 name_of(graph, match.probability_value)};
    const std::string name = fmt::format("sdpa_{}", report.attentions_carved);
    AttentionBuilder builder(graph, match, name);
    const NodeId node = builder.build();
    report.subgraphs.push_back(
        {name, "sdpa", names_of_erased(graph, all_nodes(match, builder.mask_nodes())), node});
    ++report.attentions_carved;
  } catch (const Refusal& refusal) {
    report.rejected.push_back({candidate, refusal.reason});
  } catch (const Error& error) {
    report.rejected.push_back({candidate, error.what()});
  }
}

}  // namespace

void carve_attentions(Graph& graph, TokenizeReport& report) {
  for (const NodeId id : graph.order()) {
    if (graph.node(id).erased || graph.node(id).op != OpKind::Softmax ||
        !is_between_matmuls(graph, id))
      continue;
    ++report.attentions_total;
    carve_attention(graph, id, report);
  }
  graph.erase_dead_nodes();
}

}  // namespace burin
