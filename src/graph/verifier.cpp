// What has to hold for every graph. The verifier checks all of it:
//
// Ids
//  - Inputs and outputs of the graph and of its nodes are values that exist. A node's input may be
//    kNone only where the operation makes it optional.
//  - A node's outputs name that node as their producer, and a value's producer has it as output,
//    once. Nobody else produces it.
//  - Graph inputs are not produced, are no constants, and occur once. Names of inputs that are not
//    empty differ.
//
// Data flow (nodes that are not erased)
//  - What a node reads, and what the graph gives out, is a graph input, a constant, produced by a
//    node that is not erased, or known: without producer, with elements that are expressions.
//  - There is no cycle.
//
// Values
//  - Constant dimensions are not negative.
//  - A constant has the precision and dimensions of its tensor.
//  - Known elements belong to an integer or boolean value of rank 0 or 1 with that many elements;
//    those of a constant are its contents.
//
// Nodes
//  - The number of inputs and outputs, the types and shapes of inputs and the attributes are such
//    that infer() accepts them. Axes are canonical: not negative, and sorted where they are a list.
//  - Precision and rank of each output are those that infer() finds; no dimension or element that
//    is constant in both differs.
//  - A Subgraph has a body that is a valid graph and fits its inputs and outputs; nothing else has
//    a body. Bodies are nested at most 16 deep.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "burin/error.h"
#include "burin/graph.h"

namespace burin {
namespace {

constexpr int kMaxDepth = 16;

class Verifier {
 public:
  Verifier(const Graph& graph, int depth) : graph_(graph), depth_(depth) {}

  void verify() {
    if (depth_ > kMaxDepth) fail("subgraphs are nested more than {} deep", kMaxDepth);
    check_ids();
    check_inputs();
    check_data_flow();
    for (ValueId id = 0; id < graph_.value_count(); ++id)
      if (is_source(id) || is_alive_output(id)) check_value(id);
    check_bodies();
    check_inference();
  }

 private:
  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw Error(fmt::format("graph '{}': {}", graph_.name,
                            fmt::format(format, std::forward<Arguments>(arguments)...)));
  }

  std::string describe(NodeId id) const {
    const Node& node = graph_.node(id);
    const std::string name =
        node.name.empty() ? fmt::format("#{}", id) : fmt::format("'{}'", node.name);
    return fmt::format("node {} ({})", name, info(node.op).name);
  }
  std::string describe_value(ValueId id) const {
    const std::string& name = graph_.value(id).name;
    return name.empty() ? fmt::format("value #{}", id) : fmt::format("value '{}'", name);
  }

  bool exists(ValueId id) const { return id < graph_.value_count(); }
  bool is_alive_output(ValueId id) const {
    const NodeId producer = graph_.value(id).producer;
    return producer < graph_.node_count() && !graph_.node(producer).erased;
  }
  bool is_source(ValueId id) const {
    return graph_.is_constant(id) || inputs_.count(id) != 0 || is_known(id);
  }
  /// The result of shape arithmetic whose producers canonicalization has removed.
  bool is_known(ValueId id) const {
    return graph_.value(id).producer == kNone && graph_.value(id).elements;
  }

  void check_ids() {
    for (const ValueId id : graph_.inputs) {
      if (!exists(id)) fail("input {} does not exist", id);
      if (!inputs_.insert(id).second) fail("input {} occurs twice", describe_value(id));
    }
    for (const ValueId id : graph_.outputs)
      if (!exists(id)) fail("output {} does not exist", id);
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      const Node& node = graph_.node(id);
      if (node.erased) continue;
      for (const ValueId input : node.inputs)
        if (input != kNone && !exists(input))
          fail("{} reads value {}, which does not exist", describe(id), input);
      std::set<ValueId> outputs;
      for (const ValueId output : node.outputs) {
        if (!exists(output))
          fail("{} produces value {}, which does not exist", describe(id), output);
        if (graph_.value(output).producer != id)
          fail("{} has the output {}, whose producer is another", describe(id),
               describe_value(output));
        if (!outputs.insert(output).second)
          fail("{} has the output {} twice", describe(id), describe_value(output));
      }
    }
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      const NodeId producer = graph_.value(id).producer;
      if (producer == kNone) continue;
      if (producer >= graph_.node_count())
        fail("the producer of {}, node {}, does not exist", describe_value(id), producer);
      const Node& node = graph_.node(producer);
      if (node.erased) continue;
      if (std::find(node.outputs.begin(), node.outputs.end(), id) == node.outputs.end())
        fail("{} is not among the outputs of {}, its producer", describe_value(id),
             describe(producer));
    }
  }

  void check_inputs() const {
    std::set<std::string> names;
    for (const ValueId id : graph_.inputs) {
      const Value& value = graph_.value(id);
      if (value.producer != kNone) fail("input {} is produced by a node", describe_value(id));
      if (value.constant) fail("input {} is a constant", describe_value(id));
      if (!value.name.empty() && !names.insert(value.name).second)
        fail("two inputs are named '{}'", value.name);
    }
  }

  void check_data_flow() {
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      if (graph_.node(id).erased) continue;
      for (const ValueId input : graph_.node(id).inputs)
        if (input != kNone && !is_source(input) && !is_alive_output(input))
          fail("{} reads {}, which nothing produces", describe(id), describe_value(input));
    }
    for (const ValueId output : graph_.outputs)
      if (!is_source(output) && !is_alive_output(output))
        fail("nothing produces the output {}", describe_value(output));
    order_ = graph_.order();
  }

  void check_value(ValueId id) const {
    const Value& value = graph_.value(id);
    for (std::size_t i = 0; i < value.shape.size(); ++i)
      if (const auto dimension = value.shape[i].as_constant(); dimension && *dimension < 0)
        fail("dimension {} of {} is {}", i, describe_value(id), *dimension);
    if (value.constant) {
      if (value.producer != kNone)
        fail("the constant {} is produced by a node", describe_value(id));
      const Dims& dims = value.constant->dims();
      if (value.constant->precision() != value.precision ||
          value.shape != Shape(dims.begin(), dims.end()))
        fail("{} is declared as {}{}; its contents are {}{}", describe_value(id),
             to_string(value.precision), to_string(value.shape),
             to_string(value.constant->precision()), to_string(dims));
    }
    if (value.elements) check_elements(id, *value.elements);
  }

  void check_elements(ValueId id, const std::vector<Expr>& elements) const {
    const Value& value = graph_.value(id);
    if (is_float(value.precision))
      fail("{} has known elements, and is no integer", describe_value(id));
    const Expr count = value.shape.empty() ? Expr(1) : value.shape[0];
    if (value.shape.size() > 1 || count != Expr(static_cast<std::int64_t>(elements.size())))
      fail("{} of shape {} has {} known elements", describe_value(id), to_string(value.shape),
           elements.size());
    for (std::size_t i = 0; value.constant && i < elements.size(); ++i)
      if (elements[i] != Expr(value.constant->int_at(static_cast<std::int64_t>(i))))
        fail("element {} of the constant {} is not {}", i, describe_value(id),
             elements[i].to_string());
  }

  void check_bodies() const {
    for (const NodeId id : order_) {
      const Node& node = graph_.node(id);
      if (node.op != OpKind::Subgraph && node.body != nullptr) fail("{} has a body", describe(id));
      if (node.body == nullptr) continue;
      try {
        Verifier(*node.body, depth_ + 1).verify();
      } catch (const Error& error) {
        fail("{}: {}", describe(id), error.what());
      }
    }
  }

  void check_inference() const {
    Graph copy = graph_;
    for (const NodeId id : order_) {
      try {
        infer(copy, id);
      } catch (const Error& error) {
        fail("{}", error.what());
      }
      check_axes(id, copy.node(id));
      for (const ValueId output : graph_.node(id).outputs) compare(id, output, copy.value(output));
      for (const ValueId output : graph_.node(id).outputs)
        copy.value(output) = graph_.value(output);
    }
  }

  /// infer() has made the copy's axes canonical; those of the graph have to be so already.
  void check_axes(NodeId id, const Node& canonical) const {
    for (const char* key : {"axis", "axes", "perm"}) {
      const auto expected = canonical.attributes.find(key);
      if (expected == canonical.attributes.end()) continue;
      const auto& attributes = graph_.node(id).attributes;
      const auto found = attributes.find(key);
      const auto same = [&] {
        if (found->second.index() != expected->second.index()) return false;
        if (const auto* axis = std::get_if<std::int64_t>(&found->second))
          return *axis == std::get<std::int64_t>(expected->second);
        if (const auto* axes = std::get_if<std::vector<std::int64_t>>(&found->second))
          return *axes == std::get<std::vector<std::int64_t>>(expected->second);
        return true;
      };
      if (found == attributes.end() || !same())
        fail("{}: attribute '{}' is not in its canonical form", describe(id), key);
    }
  }

  static bool contradict(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (a[i].is_constant() && b[i].is_constant() && a[i] != b[i]) return true;
    return false;
  }

  void compare(NodeId id, ValueId output, const Value& inferred) const {
    const Value& value = graph_.value(output);
    if (value.precision != inferred.precision || value.shape.size() != inferred.shape.size() ||
        contradict(value.shape, inferred.shape))
      fail("{}: its output {} is declared as {}{}; it is {}{}", describe(id),
           describe_value(output), to_string(value.precision), to_string(value.shape),
           to_string(inferred.precision), to_string(inferred.shape));
    if (value.elements && inferred.elements && contradict(*value.elements, *inferred.elements))
      fail("{}: the elements of {} are declared as {}; they are {}", describe(id),
           describe_value(output), to_string(*value.elements), to_string(*inferred.elements));
  }

  const Graph& graph_;
  int depth_;
  std::set<ValueId> inputs_;
  std::vector<NodeId> order_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph, 0).verify(); }

}  // namespace burin
