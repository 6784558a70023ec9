#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <unordered_map>

#include "burin/error.h"
#include "frontend/integer_follower.h"
#include "frontend/node_importer.h"
#include "frontend/onnx_dimensions.h"
#include "frontend/onnx_model.h"
#include "frontend/operators.h"

namespace burin::frontend {
namespace {

/// The model's nodes in an order in which each comes behind its producers; those that no output
/// needs are left out.
class NodeOrder {
 public:
  /// `inputs`: names of what comes from outside.
  NodeOrder(const OnnxModel& model, const std::vector<std::string>& inputs) : model_(model) {
    for (const auto& input : inputs) define(input, kNone, "input '" + input + "'");
    for (const auto& initializer : model.initializers) {
      define(initializer.name, kNone, "initializer '" + initializer.name + "'");
    }
    for (std::uint32_t i = 0; i < model.nodes.size(); ++i) {
      for (const std::string& output : model.nodes[i].outputs) {
        if (!output.empty()) define(output, i, model.nodes[i].title());
      }
    }
    for (const OnnxNode& node : model.nodes) {
      for (const std::string& input : node.inputs) check_defined(input, node.title());
    }
    for (const std::string& output : model.outputs) {
      if (output.empty()) throw Error("an output of the graph has no name");
      check_defined(output, "the graph's outputs");
    }
  }

  std::vector<std::uint32_t> order() const {
    const std::vector<bool> needed = needed_nodes();
    std::vector<std::uint32_t> missing(model_.nodes.size(), 0);
    std::vector<std::vector<std::uint32_t>> readers(model_.nodes.size());
    std::set<std::uint32_t> ready;  // the lowest first: a sorted file keeps its order
    for (std::uint32_t i = 0; i < model_.nodes.size(); ++i) {
      for (const std::uint32_t producer : producers_of(i)) {
        readers[producer].push_back(i);
        ++missing[i];
      }
      if (missing[i] == 0) ready.insert(i);
    }
    std::vector<std::uint32_t> result;
    std::size_t done = 0;
    for (; !ready.empty(); ++done) {
      const std::uint32_t node = *ready.begin();
      ready.erase(ready.begin());
      if (needed[node]) result.push_back(node);
      for (const std::uint32_t reader : readers[node]) {
        if (--missing[reader] == 0) ready.insert(reader);
      }
    }
    if (done != model_.nodes.size()) throw Error(node_of_cycle(missing) + ": is part of a cycle");
    return result;
  }

 private:
  void define(const std::string& name, std::uint32_t producer, const std::string& who) {
    if (!producers_.emplace(name, producer).second) {
      throw Error(fmt::format("{}: the name '{}' is given twice", who, name));
    }
  }

  void check_defined(const std::string& name, const std::string& who) const {
    if (!name.empty() && !producers_.contains(name)) {
      throw Error(fmt::format("{}: '{}' is not defined", who, name));
    }
  }

  std::vector<std::uint32_t> producers_of(std::uint32_t node) const {
    std::vector<std::uint32_t> result;
    for (const std::string& input : model_.nodes[node].inputs) {
      if (input.empty()) continue;
      const std::uint32_t producer = producers_.at(input);
      if (producer != kNone) result.push_back(producer);
    }
    return result;
  }

  std::vector<bool> needed_nodes() const {
    std::vector<bool> needed(model_.nodes.size(), false);
    std::vector<std::uint32_t> open;
    const auto need = [&](std::uint32_t node) {
      if (node == kNone || needed[node]) return;
      needed[node] = true;
      open.push_back(node);
    };
    for (const std::string& output : model_.outputs) need(producers_.at(output));
    while (!open.empty()) {
      const std::uint32_t node = open.back();
      open.pop_back();
      for (const std::uint32_t producer : producers_of(node)) need(producer);
    }
    return needed;
  }

  /// Nodes that wait may lie behind a cycle: going from producer to producer ends up in it.
  std::string node_of_cycle(const std::vector<std::uint32_t>& missing) const {
    std::set<std::uint32_t> seen;
    auto node = static_cast<std::uint32_t>(
        std::find_if(missing.begin(), missing.end(), [](auto m) { return m != 0; }) -
        missing.begin());
    while (seen.insert(node).second) {
      for (const std::uint32_t producer : producers_of(node)) {
        if (missing[producer] != 0) {
          node = producer;
          break;
        }
      }
    }
    return model_.nodes[node].title();
  }

  const OnnxModel& model_;
  std::unordered_map<std::string, std::uint32_t> producers_;  ///< kNone: no node
};

std::string lacking_reason(const OnnxNode& node) {
  if (node.op == "If" || node.op == "Loop" || node.op == "Scan" || node.op == "SequenceMap") {
    return "control flow (a graph inside of a node) is not supported";
  }
  if (node.domain.empty()) return "the operator is not supported";
  return "the operator of the domain '" + node.domain + "' is not supported";
}

class ModelImporter {
 public:
  explicit ModelImporter(const OnnxModel& model) : model_(model) {
    if (!model_.name.empty()) graph_.name = model_.name;
  }

  Graph whole(OnnxNotes* notes) {
    DimensionNames names(model_.inputs);
    for (const OnnxInput& input : model_.inputs) add_input(input, names);
    if (notes != nullptr) notes->dimension_names = names.spelled_otherwise();
    add_nodes(model_.inputs);
    return finish();
  }

  OnnxKnownPart known_part(const std::map<std::string, OnnxInput>& types) {
    std::vector<OnnxInput> all = model_.inputs;
    for (const auto& [unused, type] : types) all.push_back(type);
    DimensionNames names(all);
    for (const OnnxInput& input : model_.inputs) add_input(input, names);
    std::multimap<std::string, std::string> left;
    add_nodes(model_.inputs, [&](const OnnxNode& node, const Error& error) {
      left.emplace(node.name, error.what());
      for (const std::string& input : node.inputs) {
        if (!input.empty() && values_.at(input) != kNone) give_out(values_.at(input));
      }
      for (const std::string& output : node.outputs) {
        const auto type = types.find(output);
        values_[output] = kNone;
        if (type != types.end()) add_input(type->second, names);
      }
    });
    Graph graph = finish();
    return {std::move(graph), std::move(values_), std::move(left)};
  }

  Graph part(const std::vector<Value>& inputs, const Facts& facts) {
    graph_.facts = facts;
    for (const Value& input : inputs) {
      values_[input.name] = input.elements
                                ? graph_.add_value(input)
                                : graph_.add_input(input.name, input.precision, input.shape);
    }
    add_nodes(inputs);
    return finish();
  }

 private:
  /// What to do with a node that cannot be read. None: to throw.
  using Leave = std::function<void(const OnnxNode&, const Error&)>;

  void add_input(const OnnxInput& input, DimensionNames& names) {
    Shape shape;
    for (const OnnxDim& dim : input.dims) shape.push_back(names.expression(dim));
    values_[input.name] = graph_.add_input(input.name, input.precision, std::move(shape));
  }

  /// `inputs`: OnnxInput or Value.
  template <typename Inputs>
  void add_nodes(const Inputs& inputs, const Leave& leave = {}) {
    std::vector<std::string> names;
    for (const auto& input : inputs) names.push_back(input.name);
    const NodeOrder order(model_, names);
    for (const auto& [name, tensor] : model_.initializers) {
      values_[name] = graph_.add_constant(name, tensor);
    }
    outputs_.insert(model_.outputs.begin(), model_.outputs.end());
    IntegerFollower follower(graph_);
    for (const std::uint32_t node : order.order()) {
      try {
        add_node(model_.nodes[node], follower);
      } catch (const Error& error) {
        if (!leave) throw;
        leave(model_.nodes[node], error);
      }
    }
    for (const std::string& output : model_.outputs) {
      if (!leave) {
        graph_.outputs.push_back(computed(output));
      } else if (values_.at(output) != kNone) {
        give_out(values_.at(output));
      }
    }
  }

  /// The value is read by something that is not in the graph.
  void give_out(ValueId value) {
    if (graph_.value(value).producer != kNone && !graph_.is_output(value))
      graph_.outputs.push_back(value);
  }

  Graph finish() {
    graph_.erase_dead_nodes();
    return std::move(graph_);
  }

  std::int64_t opset_of(const OnnxNode& node) const {
    const auto found = model_.opsets.find(node.domain);
    if (found == model_.opsets.end()) {
      throw Error(
          fmt::format("the model imports no operator set for the domain '{}'", node.domain));
    }
    return found->second;
  }

  static void check_opset(const Operator& op, std::int64_t opset) {
    if (!op.is.domain.empty() || opset >= op.oldest) return;
    throw Error(fmt::format("operator set {} is older than {}, the oldest that Burin reads", opset,
                            op.oldest));
  }

  void add_node(const OnnxNode& node, IntegerFollower& follower) {
    try {
      const std::int64_t opset = opset_of(node);
      const Operator* op = find_operator(node.domain, node.op);
      if (op == nullptr) throw Error(lacking_reason(node));
      check_opset(*op, opset);
      std::vector<ValueId> inputs;
      for (const std::string& input : node.inputs) {
        inputs.push_back(input.empty() ? kNone : computed(input));
      }
      NodeImporter importer(graph_, node, opset, std::move(inputs));
      op->convert(importer);
      importer.check_attributes();
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const std::string& name = node.outputs[i];
        const ValueId result = importer.results()[i];
        const bool is_final = result == kNone || outputs_.contains(name);
        values_[name] = is_final ? result : follower.follow(result);
      }
    } catch (const Error& e) {
      const std::string what = e.what();
      if (what.starts_with(node.title())) throw;  // inference says it too
      throw Error(fmt::format("{}: {}", node.title(), what));
    }
  }

  ValueId computed(const std::string& name) const {
    const ValueId value = values_.at(name);
    if (value == kNone) {
      throw Error(fmt::format("'{}' is an optional result that Burin does not compute", name));
    }
    return value;
  }

  const OnnxModel& model_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> values_;
  std::set<std::string> outputs_;
};

}  // namespace

Graph import_onnx(const OnnxModel& model, OnnxNotes* notes) {
  return ModelImporter(model).whole(notes);
}

OnnxKnownPart import_known(const OnnxModel& model, const std::map<std::string, OnnxInput>& types) {
  return ModelImporter(model).known_part(types);
}

Graph import_part(const OnnxModel& part, const std::vector<Value>& inputs, const Facts& facts) {
  return ModelImporter(part).part(inputs, facts);
}

}  // namespace burin::frontend
