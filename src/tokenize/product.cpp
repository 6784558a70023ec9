#include "tokenize/product.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include <fmt/format.h>

#include "burin/error.h"
#include "tokenize/carve.h"
#include "tokenize/contraction.h"
#include "tokenize/cost_rule.h"

namespace burin {
namespace {

/// A product and what is carved with it, in the order of the graph; the last one's result is the only one that leaves.
struct Match {
  std::vector<NodeId> nodes;
};

/// The constant without leading dimensions of one element.
Tensor without_leading_ones(const Tensor& constant) {
  if (constant.dims().size() <= 1) return constant;
  Tensor result = Tensor::zeros(constant.precision(), constant.size() == 1 ? Dims{} : Dims{constant.size()});
  std::memcpy(result.mutable_data(), constant.data(), constant.bytes());
  return result;
}

/// Finds the products of a graph and what goes along with each. All matches together leave the graph without cycles.
class ProductMatcher {
 public:
  explicit ProductMatcher(const Graph& graph)
      : graph_(graph), order_(graph.order()), users_(graph.users()), contraction_(graph) {}

  std::vector<Match> run(TokenizeReport& report) {
    std::vector<Match> matches;
    for (std::size_t at = 0; at < order_.size(); ++at) {
      const Node& node = graph_.node(order_[at]);
      if (node.op != OpKind::MatMul && node.op != OpKind::Gemm) continue;
      if (const auto reason = why_product_is_left(graph_, node)) {
        report.rejected.push_back({{name_of(graph_, order_[at])}, *reason});
        continue;
      }
      matches.push_back(grow(at));
    }
    return matches;
  }

 private:
  Match grow(std::size_t at) {
    Match match{{order_[at]}};
    std::set<ValueId> values = {graph_.node(order_[at]).outputs[0]};
    std::size_t best = 1;  // nodes up to which one result leaves
    Contraction trial = contraction_;
    for (std::size_t i = at + 1; i < order_.size(); ++i) {
      const NodeId id = order_[i];
      if (!fits(graph_.node(id), values) || reads(id, graph_.node(order_[at]).inputs[0]) || claimed_.contains(id) ||
          trial.makes_cycle(order_[at], id))
        continue;
      trial.merge(order_[at], id);
      match.nodes.push_back(id);
      values.insert(graph_.node(id).outputs[0]);
      if (leaving(match.nodes) == 1) best = match.nodes.size();
    }
    match.nodes.resize(best);
    claimed_.insert(match.nodes.begin(), match.nodes.end());
    for (const NodeId id : match.nodes) contraction_.merge(order_[at], id);
    return match;
  }

  /// What the product itself reads is no operand of what follows: as one input of the body its columns would be the
  /// axis that is summed up and one of the result at once.
  bool reads(NodeId id, ValueId value) const {
    const std::vector<ValueId>& inputs = graph_.node(id).inputs;
    return std::find(inputs.begin(), inputs.end(), value) != inputs.end();
  }

  /// Element-wise over the product's result and what is shaped like it.
  bool fits(const Node& node, const std::set<ValueId>& values) const {
    if (!is_elementwise(node.op) || node.op == OpKind::Mod) return false;
    const Shape& shape = graph_.value(*values.begin()).shape;
    if (!(graph_.value(node.outputs[0]).shape == shape) || !is_f32_or_bool(node.outputs[0])) return false;
    bool reads = false;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      reads = reads || values.contains(input);
      if (!is_f32_or_bool(input) || !fits(input, shape)) return false;
    }
    return reads;
  }
  bool fits(ValueId input, const Shape& shape) const {
    const Value& value = graph_.value(input);
    return value.constant ? is_vector_of_columns(*value.constant) : value.shape == shape;
  }
  bool is_f32_or_bool(ValueId id) const {
    const Precision precision = graph_.value(id).precision;
    return precision == Precision::f32 || precision == Precision::boolean;
  }

  /// How many results somebody else reads.
  std::size_t leaving(const std::vector<NodeId>& nodes) const {
    return static_cast<std::size_t>(std::count_if(nodes.begin(), nodes.end(), [&](NodeId id) {
      const ValueId result = graph_.node(id).outputs[0];
      return graph_.is_output(result) || std::any_of(users_[result].begin(), users_[result].end(), [&](NodeId user) {
               return std::find(nodes.begin(), nodes.end(), user) == nodes.end();
             });
    }));
  }

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<std::vector<NodeId>> users_;
  Contraction contraction_;
  std::set<NodeId> claimed_;
};

/// Makes the body of one match, and puts it in its place.
class ProductCarver {
 public:
  ProductCarver(Graph& graph, std::string name) : graph_(graph), carver_(graph, std::move(name)) {}

  NodeId run(const Match& match) {
    values_[graph_.node(match.nodes[0]).outputs[0]] = product(match.nodes[0]);
    for (std::size_t i = 1; i < match.nodes.size(); ++i) {
      const Node node = graph_.node(match.nodes[i]);
      std::vector<ValueId> inputs;
      for (const ValueId input : node.inputs) inputs.push_back(input == kNone ? kNone : inside(input));
      values_[node.outputs[0]] = carver_.clone(node, inputs);
    }
    // The one that leaves: nobody in the group reads the last node's result, or it would not be the last.
    const ValueId result = graph_.node(match.nodes.back()).outputs[0];
    return carver_.finish({{result, values_.at(result)}});
  }

 private:
  ValueId product(NodeId id) {
    const Node node = graph_.node(id);
    ValueId weight = carver_.body().add_constant(graph_.value(node.inputs[1]).name, *graph_.value(node.inputs[1]).constant);
    if (node.int_attribute("transB", 0) != 0)
      weight = carver_.body().add_op(OpKind::Transpose, "", {weight}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    ValueId y = carver_.body().add_op(OpKind::MatMul, node.name, {inside(node.inputs[0]), weight});
    if (node.inputs.size() > 2 && node.inputs[2] != kNone)
      y = carver_.body().add_op(OpKind::Add, node.name + ".bias", {y, inside(node.inputs[2])});
    return y;
  }

  ValueId inside(ValueId outside) {
    const auto known = values_.find(outside);
    if (known != values_.end()) return known->second;
    const std::string name = graph_.value(outside).name;
    if (const auto& constant = graph_.value(outside).constant)
      return values_[outside] = carver_.body().add_constant(name, without_leading_ones(*constant));
    const ValueId inside = carver_.import_rows(outside);
    carver_.body().value(inside).name = name;  // not the Reshape's: that of a value without name is no name
    return values_[outside] = inside;
  }

  Graph& graph_;
  Carver carver_;
  std::map<ValueId, ValueId> values_;
};

}  // namespace

void carve_products(Graph& graph, TokenizeReport& report) {
  const std::vector<Match> matches = ProductMatcher(graph).run(report);
  std::size_t carved = 0;
  for (const Match& match : matches) {
    const std::string name = fmt::format("product_{}", carved);
    try {
      const NodeId node = ProductCarver(graph, name).run(match);
      report.subgraphs.push_back({name, "product", names_of_erased(graph, match.nodes), node});
      ++carved;
    } catch (const Refusal& refusal) {
      report.rejected.push_back({{name_of(graph, match.nodes[0])}, refusal.reason});
    } catch (const Error& error) {
      report.rejected.push_back({{name_of(graph, match.nodes[0])}, error.what()});
    }
  }
}

}  // namespace burin
