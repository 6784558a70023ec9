#include "tokenize/attention.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/positions.h"
#include "tokenize/attention_layout.h"
#include "tokenize/attention_match.h"
#include "tokenize/axis_view.h"
#include "tokenize/carve.h"
#include "tokenize/cost_rule.h"
#include "tokenize/position_mask.h"

namespace burin {
namespace {

/// Builds the body of one match.
class AttentionBuilder {
 public:
  AttentionBuilder(Graph& graph, const AttentionMatch& match, const std::string& name)
      : graph_(graph), match_(match), carver_(graph, name), layout_(graph, match) {}

  NodeId build() {
    refuse_what_does_not_pay();
    values_[scores()] = checked(make_scores(), scores());
    for (const NodeId id : match_.middle) build_middle(graph_.node(id));
    values_[result()] = checked(make_result(), result());
    return finish();
  }

  /// Of a mask that the body computes.
  const std::set<NodeId>& mask_nodes() const { return mask_nodes_; }

 private:
  using Groups = std::vector<AxisView::Group>;

  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }
  /// One element, of no more dimensions than values of the body have: it enters as it is.
  bool is_number(ValueId value) const {
    return has_one_element(graph_, value) && shape(value).size() <= layout_.axes();
  }
  ValueId scores() const { return graph_.node(match_.query_key).outputs[0]; }
  ValueId result() const { return graph_.node(match_.probability_value).outputs[0]; }

  void refuse_what_does_not_pay() const {
    const AxisView& result_view = layout_.of(result());
    const Shape& left = shape(match_.left.value);
    const auto why = why_attention_is_left(result_view.source()[layout_.query_axis()], left.back(),
                                           result_view.source()[layout_.key_axis()]);
    if (why) throw Refusal{*why};
  }

  // ---- the products ----

  /// What another input of a node is, seen with the dimensions of the body.
  struct Other {
    std::size_t input;
    ValueId source;
    std::optional<AxisView> view;  ///< nothing: one element, as it is
  };
  using Others = std::vector<Other>;

  ValueId make_scores() {
    const Groups& groups = layout_.of(scores()).groups();
    const bool swapped = layout_.is_swapped();
    const ValueId query =
        import_operand(swapped ? match_.right : match_.left, swapped, groups, Role::query);
    const ValueId key =
        import_operand(swapped ? match_.left : match_.right, swapped, groups, Role::key);
    return carver_.clone(graph_.node(match_.query_key), {query, key});
  }

  ValueId make_result() {
    const Node product =
        graph_.node(match_.probability_value);  // a copy: importing may add nodes outside
    const bool swapped = layout_.is_result_swapped();
    const ValueId value =
        import_operand(match_.value, swapped, layout_.of(result()).groups(), Role::value);
    return carver_.clone(product, {values_.at(product.inputs[swapped ? 1 : 0]), value});
  }

  enum class Role { query, key, value };

  /// As much of the chain as makes a plain view; one that needs no Reshape outside is better.
  /// `groups`: of the product's result. `swapped`: the product's operands have changed places, and
  /// their matrices are transposed.
  ValueId import_operand(const AttentionOperand& operand, bool swapped, Groups groups, Role role) {
    const std::size_t rank = groups.size(), row = layout_.query_axis(), column = layout_.key_axis();
    const Shape& dimensions = shape(operand.value);
    const Expr rows = dimensions[dimensions.size() - 2], columns = dimensions.back();
    groups[rank - 2] = {{rows, swapped ? column : row}};
    groups[rank - 1] = {{columns, swapped ? row : column}};
    const Lifting lifting =
        lift(dimensions, groups, layout_.axes(), graph_.facts, role == Role::query);
    const auto fits = [&](std::size_t skip) { return read_operand(operand, skip, lifting); };
    std::size_t skip = first_taken(operand, role);
    std::optional<Operand> best;
    for (; skip <= operand.chain.size() && !best; ++skip) best = fits(skip);
    // Views and factors may as well stay outside, if no Reshape is needed then.
    for (; best && best->view.is_split() && skip <= operand.chain.size(); ++skip) {
      const Node& left = graph_.node(operand.chain[skip - 1]);
      if (is_elementwise(left.op) && !scaled_input(graph_, left)) break;
      if (auto other = fits(skip); other && !other->view.is_split()) best = std::move(other);
    }
    if (best) return build_operand(operand, *best, role);
    throw Refusal{fmt::format("'{}' {} is no view with dimensions {}",
                              graph_.value(operand.value).name, to_string(dimensions),
                              to_string(lifting.shape()))};
  }

  /// An operand from some node of its chain on.
  struct Operand {
    std::size_t skip;
    AxisView view;
    std::map<std::size_t, Others> others;
  };

  std::optional<Operand> read_operand(const AttentionOperand& operand, std::size_t skip,
                                      const Lifting& lifting) const {
    auto view = view_of(graph_, operand, skip);
    if (!view || !lifting.apply(*view) || !view->is_plain() || repeats_matrix(*view) ||
        repeats_unknown_times(*view))
      return std::nullopt;
    auto others = others_of(operand, skip, lifting);
    if (!others) return std::nullopt;
    return Operand{skip, *view, std::move(*others)};
  }

  ValueId build_operand(const AttentionOperand& operand, const Operand& from, Role role) {
    ValueId value =
        carver_.import(source_of(graph_, operand, from.skip), from.view, role == Role::query);
    for (std::size_t i = from.skip; i < operand.chain.size(); ++i)
      if (const Node node = graph_.node(operand.chain[i]); is_elementwise(node.op))
        value = apply(node, value, from.others.at(i));
    return value;
  }

  /// Keys and values are read again for each block of queries: of element-wise operations they only
  /// take factors in. So do queries in front of the first view if what is outside can compute the
  /// operation on the way: a product with a weight, or another element-wise operation.
  std::size_t first_taken(const AttentionOperand& operand, Role role) const {
    std::size_t first = 0;
    const bool leaves_all = role != Role::query;
    const bool leaves_first = leaves_all || is_computed_on_the_way(source_of(graph_, operand, 0));
    for (std::size_t i = 0; i < operand.chain.size(); ++i) {
      const Node& node = graph_.node(operand.chain[i]);
      if (!is_elementwise(node.op)) {
        if (!leaves_all) break;
      } else if (leaves_first && !scaled_input(graph_, node)) {
        first = i + 1;
      }
    }
    return first;
  }

  bool is_computed_on_the_way(ValueId source) const {
    const NodeId producer = graph_.value(source).producer;
    if (producer == kNone) return false;
    const OpCategory category = info(graph_.node(producer).op).category;
    return is_elementwise(graph_.node(producer).op) || category == OpCategory::normalize ||
           category == OpCategory::reduce ||
           (category == OpCategory::matmul && !is_activation_matmul(graph_, producer));
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

  // ---- element-wise operations in front and behind ----

  /// The inputs beside the chain's own, of each element-wise node of the chain but the first
  /// `skip`; nothing where one of them cannot be read in the body.
  std::optional<std::map<std::size_t, Others>> others_of(const AttentionOperand& operand,
                                                         std::size_t skip,
                                                         const Lifting& lifting) const {
    std::map<std::size_t, Others> all;
    for (std::size_t i = skip; i < operand.chain.size(); ++i) {
      const Node& node = graph_.node(operand.chain[i]);
      if (!is_elementwise(node.op)) continue;
      Others& others = all[i];
      const std::size_t through = chain_input(graph_, node).value_or(0);
      for (std::size_t input = 0; input < node.inputs.size(); ++input) {
        const ValueId source = node.inputs[input];
        if (input == through || source == kNone) continue;
        Other other{input, source, std::nullopt};
        if (!is_number(source)) {
          other.view = AxisView(shape(source), graph_.facts);
          AttentionOperand rest{
              operand.value,
              {operand.chain.begin() + static_cast<std::ptrdiff_t>(i) + 1, operand.chain.end()}};
          if (!other.view->expand(shape(node.outputs[0])) || !apply_views(rest, *other.view) ||
              !lifting.apply(*other.view) || !other.view->is_plain() ||
              repeats_unknown_times(*other.view))
            return std::nullopt;
        }
        others.push_back(std::move(other));
      }
    }
    return all;
  }

  bool apply_views(const AttentionOperand& operand, AxisView& view) const {
    return std::all_of(operand.chain.begin(), operand.chain.end(), [&](NodeId id) {
      return is_elementwise(graph_.node(id).op) || view.apply(graph_, graph_.node(id));
    });
  }

  /// The node on a value of the body.
  ValueId apply(const Node& node, ValueId value, const Others& others) {
    std::vector<ValueId> inputs(node.inputs.size(), value);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (node.inputs[i] == kNone) inputs[i] = kNone;
    for (const Other& other : others)
      inputs[other.input] =
          other.view ? carver_.import(other.source, *other.view) : carver_.import(other.source);
    return carver_.clone(node, inputs);
  }

  // ---- between the products ----

  /// Another value that an element-wise node reads: a mask, a bias, a number. `groups`: of the
  /// node's result.
  ValueId import_other(ValueId value, const Groups& groups) {
    if (is_number(value)) return carver_.import(value);
    if (const auto mask = match_position_mask(graph_, value); mask && can_import(*mask, groups))
      return import_mask(*mask, groups);
    if (const auto seen = see({value, {}}, groups)) return carver_.import(seen->source, seen->view);
    throw Refusal{fmt::format("'{}' {} cannot be read with dimensions {}", graph_.value(value).name,
                              to_string(shape(value)), to_string(lifted(value, groups).shape()))};
  }

  Lifting lifted(ValueId value, const Groups& groups) const {
    return lift(shape(value), groups, layout_.axes(), graph_.facts);
  }

  /// A value of the body as a plain view of a source outside.
  struct Seen {
    ValueId source;
    AxisView view;
  };

  std::optional<Seen> see(AttentionOperand operand, const Groups& groups) const {
    const Lifting lifting = lifted(operand.value, groups);
    for (ValueId source = operand.chain.empty() ? operand.value : source_of(graph_, operand, 0);
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
        auto view = view_of(graph_, operand, skip);
        if (!view || !lifting.apply(*view) || !view->is_plain() ||
            (view->is_split() && !allow_split))
          continue;
        if (repeats_unknown_times(*view)) continue;
        return Seen{source_of(graph_, operand, skip), *view};
      }
    }
    return std::nullopt;
  }

  bool can_import(const PositionMask& mask, const Groups& groups) const {
    if (mask.triangle) return true;
    if (mask.is_leaf()) try {
        return is_number(mask.value) || see_leaf(mask, groups);
      } catch (const Refusal&) {
        return false;
      }
    return std::all_of(mask.operands.begin(), mask.operands.end(),
                       [&](const PositionMask& operand) { return can_import(operand, groups); });
  }

  ValueId import_mask(const PositionMask& mask, const Groups& groups) {
    if (mask.triangle) return make_triangle(*mask.triangle, graph_.value(mask.value));
    if (mask.is_leaf()) {
      if (is_number(mask.value)) return carver_.import(mask.value);
      const auto seen = see_leaf(mask, groups);
      return carver_.import(seen->source, seen->view);
    }
    mask_nodes_.insert(mask.node);
    std::vector<ValueId> operands;
    for (const PositionMask& operand : mask.operands)
      operands.push_back(import_mask(operand, groups));
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
  std::optional<Seen> see_leaf(const PositionMask& leaf, const Groups& groups) const {
    const AttentionOperand operand{
        leaf.views.empty() ? leaf.value : graph_.node(leaf.views.back()).outputs[0], leaf.views};
    auto seen = see(operand, groups);
    // The views may stand behind a sum of which the leaf is a term: it has the same dimensions.
    if (seen && !leaf.views.empty() && seen->source == source_of(graph_, operand, 0))
      seen->source = leaf.value;
    const bool is_integer = !is_f32_or_bool(graph_.value(leaf.value));
    if (seen && is_integer && (!is_position(graph_, seen->source) || seen->view.is_split()))
      return std::nullopt;
    return seen;
  }

  void build_middle(const Node node) {  // a copy: importing may add nodes outside
    const ValueId result = node.outputs[0];
    if (info(node.op).category == OpCategory::movement) {
      values_[result] = values_.at(node.inputs[0]);
      return;
    }
    if (!is_elementwise(node.op)) return build_reduction(node);
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) {
      if (input == kNone) {
        inputs.push_back(kNone);
      } else if (const auto known = values_.find(input); known != values_.end()) {
        inputs.push_back(known->second);
      } else {
        inputs.push_back(import_other(input, layout_.of(result).groups()));
      }
    }
    values_[result] = checked(carver_.clone(node, inputs), result);
  }

  /// Over the keys, which stay a dimension.
  void build_reduction(Node node) {
    const auto axis = static_cast<std::int64_t>(layout_.key_axis());
    if (node.op == OpKind::Softmax) {
      node.attributes["axis"] = axis;
    } else {
      node.attributes["axes"] = std::vector<std::int64_t>{axis};
      node.attributes["keepdims"] = std::int64_t{1};
    }
    const ValueId result = node.outputs[0];
    values_[result] = checked(carver_.clone(node, {values_.at(node.inputs[0])}), result);
  }

  /// The value of the body has the dimensions that the layout has for the one outside.
  ValueId checked(ValueId inside, ValueId outside) {
    const Shape& expected = layout_.of(outside).source();
    const Shape& actual = carver_.body().value(inside).shape;
    if (!same_dimensions(actual, expected, graph_.facts))
      throw Refusal{fmt::format("'{}' {} would be {} in the body, not {}",
                                graph_.value(outside).name, to_string(shape(outside)),
                                to_string(actual), to_string(expected))};
    return inside;
  }

  // ---- results ----

  /// The value of the body with the dimensions of the view, each as the axes that it runs over.
  ValueId in_order_of(const AxisView& view, ValueId inside) {
    std::vector<std::int64_t> perm;
    for (const AxisView::Group& group : view.groups())
      for (const AxisView::Axis& axis : group)
        perm.push_back(static_cast<std::int64_t>(axis.source));
    for (std::size_t axis = view.source().size(); axis-- > 0;)  // of one element, in no group
      if (std::find(perm.begin(), perm.end(), static_cast<std::int64_t>(axis)) == perm.end())
        perm.insert(perm.begin(), static_cast<std::int64_t>(axis));
    if (std::is_sorted(perm.begin(), perm.end())) return inside;
    return carver_.body().add_op(OpKind::Transpose, "", {inside}, {{"perm", perm}});
  }

  /// Each dimension is one axis: no Reshape is needed outside.
  static bool is_clean(const AxisView& view) {
    return view.groups().size() == view.source().size() &&
           std::all_of(view.groups().begin(), view.groups().end(),
                       [](const AxisView::Group& group) { return group.size() == 1; });
  }

  /// Takes in what stands behind the result: up to the last node that does more than name
  /// dimensions anew, and then as far as dimensions are axes again.
  NodeId finish() {
    struct Point {
      ValueId outside, inside;
      AxisView view;
    };
    Point last{result(), values_.at(result()), layout_.of(result())};
    std::optional<Point> taken = last;
    for (const std::vector<NodeId>& step : match_.behind) {
      bool computes = true;
      if (is_elementwise(graph_.node(step.front()).op)) {
        const auto computed = build_behind(step, last.outside, last.inside, last.view.groups());
        if (!computed) break;
        last.inside = *computed;
      } else {
        const Node& node = graph_.node(step.front());
        computes = node.op == OpKind::Transpose;
        if (!last.view.apply(graph_, node) || last.view.is_split()) break;
      }
      last.outside = graph_.node(step.back()).outputs[0];
      if (computes || is_clean(last.view)) taken = last;
    }
    std::vector<std::pair<ValueId, ValueId>> results = {
        {taken->outside, in_order_of(taken->view, taken->inside)}};
    for (const ValueId value : match_.results)
      results.emplace_back(value, in_order_of(layout_.of(value), values_.at(value)));
    return carver_.finish(results);
  }

  /// Element-wise operations on a value and on each other; nothing where what they read besides
  /// cannot be read in the body.
  std::optional<ValueId> build_behind(const std::vector<NodeId>& step, ValueId outside,
                                      ValueId inside, const Groups& groups) {
    std::map<ValueId, ValueId> values = {{outside, inside}};
    std::map<ValueId, std::optional<Seen>> others;
    for (const NodeId id : step) {
      values[graph_.node(id).outputs[0]] = kNone;
      for (const ValueId input : graph_.node(id).inputs) {
        if (input == kNone || values.contains(input) || is_number(input)) continue;
        if (!(others[input] = see({input, {}}, groups))) return std::nullopt;
      }
    }
    for (const NodeId id : step) {
      const Node node = graph_.node(id);  // a copy: importing may add nodes outside
      std::vector<ValueId> inputs;
      for (const ValueId input : node.inputs) {
        if (input == kNone) {
          inputs.push_back(kNone);
        } else if (const auto known = values.find(input); known != values.end()) {
          inputs.push_back(known->second);
        } else if (const auto other = others.find(input); other != others.end()) {
          inputs.push_back(carver_.import(other->second->source, other->second->view));
        } else {
          inputs.push_back(carver_.import(input));
        }
      }
      values[node.outputs[0]] = inside = carver_.clone(node, inputs);
    }
    return inside;
  }

  Graph& graph_;
  const AttentionMatch& match_;
  std::set<NodeId> mask_nodes_;
  Carver carver_;
  AttentionLayout layout_;
  std::map<ValueId, ValueId> values_;  ///< of the middle and the result: outside -> in the body
};

std::vector<NodeId> all_nodes(const AttentionMatch& match, std::set<NodeId> nodes) {
  nodes.insert(match.middle.begin(), match.middle.end());
  for (const auto* part : {&match.left.chain, &match.right.chain, &match.value.chain})
    nodes.insert(part->begin(), part->end());
  for (const auto& step : match.behind) nodes.insert(step.begin(), step.end());
  nodes.insert({match.query_key, match.probability_value});
  return {nodes.begin(), nodes.end()};
}

void carve_attention(Graph& graph, NodeId softmax, NodeId query_key, TokenizeReport& report) {
  const AttentionMatch match = match_attention(graph, softmax, query_key);
  const std::string name = fmt::format("sdpa_{}", report.attentions_carved);
  AttentionBuilder builder(graph, match, name);
  const NodeId node = builder.build();
  report.subgraphs.push_back(
      {name, "sdpa", names_of_erased(graph, all_nodes(match, builder.mask_nodes())), node});
  ++report.attentions_carved;
}

/// With the first MatMul in front of the Softmax that fits.
void carve_around(Graph& graph, NodeId softmax, TokenizeReport& report) {
  std::optional<std::string> reason;
  std::vector<std::string> candidate = {name_of(graph, softmax)};
  const auto refuse = [&](const std::string& why) { reason = reason.value_or(why); };
  try {
    for (const NodeId query_key : find_query_keys(graph, softmax)) try {
        return carve_attention(graph, softmax, query_key, report);
      } catch (const Refusal& refusal) {
        if (!reason) candidate = {name_of(graph, query_key), name_of(graph, softmax)};
        refuse(refusal.reason);
      } catch (const Error& error) {
        refuse(error.what());
      }
  } catch (const Refusal& refusal) {
    refuse(refusal.reason);
  }
  report.rejected.push_back({candidate, reason.value_or("")});
}

}  // namespace

void carve_attentions(Graph& graph, TokenizeReport& report) {
  for (const NodeId id : graph.order()) {
    if (!is_attention_softmax(graph, id)) continue;
    ++report.attentions_total;
    carve_around(graph, id, report);
  }
  graph.erase_dead_nodes();
}

}  // namespace burin
