// Of every element-wise operation and reduction: what is said to be carved is, and has a kernel; what is not is left.

#include "burin/tokenize.h"
#include "tokenize/element_types.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

const std::vector<OpKind>& operations() {
  static const std::vector<OpKind> all = {
#define BURIN_OP(name, text, category, min_inputs, max_inputs) OpKind::name,
#include "burin/ops.def"
  };
  return all;
}

bool is_of_groups(OpKind op) { return is_elementwise(op) || info(op).category == OpCategory::reduce; }

Attributes attributes_of(OpKind op) {
  if (op == OpKind::Cast) return {{"to", std::string("f32")}};
  if (op == OpKind::Mod) return {{"fmod", std::int64_t{1}}};
  if (op == OpKind::ArgMax) return {{"axis", std::int64_t{1}}};
  if (info(op).category == OpCategory::reduce) return {{"axes", std::vector<std::int64_t>{1}}};
  return {};
}

/// The operation, and choices between its result and something else, so that a kernel pays.
Graph graph_of(OpKind op, Precision precision) {
  Graph g;
  const Shape shape = {Expr::symbol("B"), Expr::symbol("S")};
  const ValueId flag = g.add_input("flag", Precision::boolean, shape);
  std::vector<ValueId> in;
  for (int i = 0; i < info(op).min_inputs; ++i) in.push_back(g.add_input("in" + std::to_string(i), precision, shape));
  if (op == OpKind::Where) in[0] = flag;
  if (op == OpKind::Pow && !is_float(precision)) in[1] = g.add_constant("", Tensor::scalar(precision, 3));
  const ValueId y = g.add_op(op, "operation", in, attributes_of(op));
  const ValueId other = g.add_input("other", g.value(y).precision, shape);
  const ValueId choice = g.add_op(OpKind::Where, "choice", {flag, y, other});
  g.outputs = {g.add_op(OpKind::Where, "last_choice", {flag, other, choice})};
  return g;
}

bool is_carved(Graph graph) {
  const TokenizeReport report = tokenize(graph);
  if (report.subgraphs.size() != 1 || report.subgraphs[0].nodes.size() != 3) return false;
  compile(*graph.node(report.subgraphs[0].node).body);
  return true;
}

TEST(ElementTypes, AreCarvedAsSaid) {
  for (const OpKind op : operations())
    for (const Precision precision : {Precision::f32, Precision::i32, Precision::i64, Precision::boolean}) {
      if (!is_of_groups(op)) continue;
      std::optional<Graph> graph;
      try {
        graph = graph_of(op, precision);
      } catch (const Error&) {  // there is no such operation
      }
      if (!graph) continue;
      EXPECT_EQ(is_carved(*graph), is_carved_of(op, precision)) << info(op).name << " of " << to_string(precision);
    }
}

}  // namespace
}  // namespace burin::runtime_test
