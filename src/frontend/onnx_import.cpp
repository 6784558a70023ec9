#include "frontend/onnx_import.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/integer_follower.h"
#include "frontend/onnx_dimensions.h"

namespace burin::frontend {

// ---- One node ----

ValueId NodeImporter::input(std::size_t i) const {
  if (!has_input(i)) throw Error(fmt::format("input {} is missing", i));
  return inputs_[i];
}

std::int64_t NodeImporter::rank(ValueId id) const {
  return static_cast<std::int64_t>(graph_.value(id).shape.size());
}

std::vector<std::int64_t> NodeImporter::constant_ints(std::size_t i, std::string_view what) const {
  const Value& value = graph_.value(input(i));
  std::vector<std::int64_t> ints;
  if (value.constant && !is_float(value.precision)) {
    for (std::int64_t e = 0; e < value.constant->size(); ++e) {
      ints.push_back(value.constant->int_at(e));
    }
    return ints;
  }
  const std::vector<Expr> elements = value.elements.value_or(std::vector<Expr>{});
  for (const Expr& element : elements) {
    if (const auto number = element.as_constant()) ints.push_back(*number);
  }
  if (!value.elements || ints.size() != elements.size()) {
    throw Error(fmt::format("{} ('{}') must be constant integers", what, value.name));
  }
  return ints;
}

template <typename T>
const T* NodeImporter::find(std::string_view key, const char* kind) {
  asked_.emplace_back(key);
  const auto found = node_.attributes.find(std::string(key));
  if (found == node_.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) throw Error(fmt::format("attribute '{}' must be {}", key, kind));
  return value;
}

std::int64_t NodeImporter::int_attribute(std::string_view key, std::int64_t fallback) {
  const auto* value = find<std::int64_t>(key, "an integer");
  return value != nullptr ? *value : fallback;
}

double NodeImporter::float_attribute(std::string_view key, double fallback) {
  const auto* value = find<double>(key, "a number");
  return value != nullptr ? *value : fallback;
}

std::string NodeImporter::string_attribute(std::string_view key, std::string_view fallback) {
  const auto* value = find<std::string>(key, "a string");
  return value != nullptr ? *value : std::string(fallback);
}

std::vector<std::int64_t> NodeImporter::ints_attribute(std::string_view key) {
  const auto* value = find<std::vector<std::int64_t>>(key, "a list of integers");
  return value != nullptr ? *value : std::vector<std::int64_t>{};
}

std::optional<OnnxAttribute> NodeImporter::attribute(std::string_view key) {
  asked_.emplace_back(key);
  const auto found = node_.attributes.find(std::string(key));
  if (found == node_.attributes.end()) return std::nullopt;
  return found->second;
}

void NodeImporter::check_attributes() const {
  for (const auto& [key, unused] : node_.attributes) {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
      throw Error(fmt::format("attribute '{}' is not supported", key));
    }
  }
}

std::vector<std::int64_t> NodeImporter::canonical_axes(std::vector<std::int64_t> axes,
                                                       std::int64_t rank) {
  for (std::int64_t& axis : axes) {
    if (axis < -rank || axis >= rank) {
      throw Error(fmt::format("axis {} is out of range for rank {}", axis, rank));
    }
    if (axis < 0) axis += rank;
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    throw Error("an axis occurs twice");
  }
  return axes;
}

std::int64_t NodeImporter::axis_attribute(std::int64_t fallback, std::int64_t rank) {
  return canonical_axes({int_attribute("axis", fallback)}, rank).front();
}

ValueId NodeImporter::emit(OpKind op, std::string_view hint, std::vector<ValueId> inputs,
                           Attributes attributes) {
  return graph_.add_op(op, fmt::format("{}.{}", node_.name, hint), std::move(inputs),
                       std::move(attributes));
}

ValueId NodeImporter::constant(std::string_view hint, Tensor tensor) {
  return graph_.add_constant(fmt::format("{}.{}", node_.name, hint), std::move(tensor));
}

ValueId NodeImporter::integers(std::string_view hint, const std::vector<Expr>& elements) {
  std::vector<std::int64_t> numbers;
  for (const Expr& element : elements) {
    if (const auto number = element.as_constant()) numbers.push_back(*number);
  }
  const auto count = static_cast<std::int64_t>(elements.size());
  if (numbers.size() == elements.size()) return constant(hint, Tensor::from_i64({count}, numbers));
  Value value;
  value.name = fmt::format("{}.{}", node_.name, hint);
  value.precision = Precision::i64;
  value.shape = {Expr(count)};
  value.elements = elements;
  return graph_.add_value(std::move(value));
}

ValueId NodeImporter::scalar(std::string_view hint, double number, ValueId like) {
  return constant(hint, Tensor::scalar(graph_.value(like).precision, number));
}

void NodeImporter::finish(OpKind op, std::vector<ValueId> inputs, Attributes attributes,
                          std::size_t output_count) {
  const NodeId id =
      graph_.add_node(op, node_.name, std::move(inputs), std::move(attributes), output_count);
  const std::vector<ValueId> outputs = graph_.node(id).outputs;
  for (std::size_t i = 0; i < std::min(output_count, node_.outputs.size()); ++i) {
    finish(outputs[i], i);
  }
}

void NodeImporter::finish(ValueId value, std::size_t output) {
  results_.at(output) = value;
  if (!node_.outputs[output].empty()) graph_.value(value).name = node_.outputs[output];
}

// ---- The whole model ----

namespace {

/// The model's nodes in an order in which each comes behind its producers; those that no output
/// needs are left out.
class NodeOrder {
 public:
  explicit NodeOrder(const OnnxModel& model) : model_(model) {
    for (const auto& input : model.inputs) define(input.name, kNone, "input '" + input.name + "'");
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
  return "operators of the domain '" + node.domain + "' are not supported";
}

class ModelImporter {
 public:
  explicit ModelImporter(const OnnxModel& model) : model_(model) {}

  Graph run(OnnxNotes* notes) {
    if (!model_.name.empty()) graph_.name = model_.name;
    const NodeOrder order(model_);
    add_inputs(notes);
    for (const auto& [name, tensor] : model_.initializers) {
      values_[name] = graph_.add_constant(name, tensor);
    }
    outputs_.insert(model_.outputs.begin(), model_.outputs.end());
    IntegerFollower follower(graph_);
    for (const std::uint32_t node : order.order()) add_node(model_.nodes[node], follower);
    for (const std::string& output : model_.outputs) graph_.outputs.push_back(computed(output));
    graph_.erase_dead_nodes();
    return std::move(graph_);
  }

 private:
  void add_inputs(OnnxNotes* notes) {
    DimensionNames names(model_.inputs);
    for (const OnnxInput& input : model_.inputs) {
      Shape shape;
      for (const OnnxDim& dim : input.dims) shape.push_back(names.expression(dim));
      values_[input.name] = graph_.add_input(input.name, input.precision, std::move(shape));
    }
    if (notes != nullptr) notes->dimension_names = names.spelled_otherwise();
  }

  std::int64_t opset_of(const OnnxNode& node) const {
    const auto found = model_.opsets.find(node.domain);
    if (found == model_.opsets.end()) {
      throw Error(
          fmt::format("the model imports no operator set for the domain '{}'", node.domain));
    }
    if (node.domain.empty() && found->second < 11) {
      throw Error(fmt::format("operator set {} is older than 11, the oldest that Burin reads",
                              found->second));
    }
    return found->second;
  }

  void add_node(const OnnxNode& node, IntegerFollower& follower) {
    try {
      const std::int64_t opset = opset_of(node);
      const Converter convert = find_converter(node);
      if (convert == nullptr) throw Error(lacking_reason(node));
      std::vector<ValueId> inputs;
      for (const std::string& input : node.inputs) {
        inputs.push_back(input.empty() ? kNone : computed(input));
      }
      NodeImporter importer(graph_, node, opset, std::move(inputs));
      convert(importer);
      importer.check_attributes();
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const std::string& name = node.outputs[i];
        const ValueId result = importer.results()[i];
        const bool is_final = result == kNone || outputs_.contains(name);
        values_[name] = is_final ? result : follower.follow(result);
      }
    } catch (const Error& e) {
      throw Error(fmt::format("{}: {}", node.title(), e.what()));
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
  return ModelImporter(model).run(notes);
}

}  // namespace burin::frontend
