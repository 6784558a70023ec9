#include "burin/graph.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin {
namespace {

/// Integer tensors of at most this many elements are followed element by element.
constexpr std::int64_t kMaxElements = 64;

std::optional<std::vector<Expr>> elements_of(const Tensor& tensor) {
  if (is_float(tensor.precision()) || tensor.dims().size() > 1 || tensor.size() > kMaxElements)
    return std::nullopt;
  std::vector<Expr> elements;
  for (std::int64_t i = 0; i < tensor.size(); ++i) elements.emplace_back(tensor.int_at(i));
  return elements;
}

/// The attribute as a T; null if it is absent.
template <typename T>
const T* find_attribute(const Node& node, std::string_view key, std::string_view expected) {
  const auto found = node.attributes.find(std::string(key));
  if (found == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr)
    throw Error(fmt::format("node '{}' ({}): attribute '{}' must be {}", node.name,
                            info(node.op).name, key, expected));
  return value;
}

void collect_symbols(const Value& value, std::set<std::string>& symbols) {
  for (const Expr& dimension : value.shape) symbols.merge(dimension.symbols());
  if (!value.elements) return;
  for (const Expr& element : *value.elements) symbols.merge(element.symbols());
}

bool uses_symbol(const Value& value, std::string_view symbol) {
  const auto uses = [&](const Expr& e) { return e.uses(symbol); };
  return std::any_of(value.shape.begin(), value.shape.end(), uses) ||
         (value.elements && std::any_of(value.elements->begin(), value.elements->end(), uses));
}

}  // namespace

std::int64_t Node::int_attribute(std::string_view key, std::int64_t fallback) const {
  const auto* value = find_attribute<std::int64_t>(*this, key, "an integer");
  return value != nullptr ? *value : fallback;
}

double Node::float_attribute(std::string_view key, double fallback) const {
  const auto found = attributes.find(std::string(key));
  if (found == attributes.end()) return fallback;
  if (const auto* integer = std::get_if<std::int64_t>(&found->second))
    return static_cast<double>(*integer);
  return *find_attribute<double>(*this, key, "a number");
}

std::string Node::string_attribute(std::string_view key, std::string_view fallback) const {
  const auto* value = find_attribute<std::string>(*this, key, "a string");
  return value != nullptr ? *value : std::string(fallback);
}

std::vector<std::int64_t> Node::ints_attribute(std::string_view key) const {
  const auto* value = find_attribute<std::vector<std::int64_t>>(*this, key, "a list of integers");
  return value != nullptr ? *value : std::vector<std::int64_t>();
}

bool Node::has_attribute(std::string_view key) const {
  return attributes.find(std::string(key)) != attributes.end();
}

ValueId Graph::add_value(Value value) {
  if (values_.size() >= kNone) throw Error(fmt::format("graph '{}' has too many values", name));
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_input(std::string name, Precision precision, Shape shape) {
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (const auto dimension = shape[i].as_constant(); dimension && *dimension < 0)
      throw Error(fmt::format("input '{}': dimension {} is {}; it must not be negative", name, i,
                              *dimension));
  Value value;
  value.name = std::move(name);
  value.precision = precision;
  value.shape = std::move(shape);
  inputs.push_back(add_value(std::move(value)));
  return inputs.back();
}

ValueId Graph::add_constant(std::string name, Tensor tensor) {
  Value value;
  value.name = std::move(name);
  value.precision = tensor.precision();
  value.shape.assign(tensor.dims().begin(), tensor.dims().end());
  value.elements = elements_of(tensor);
  value.constant = std::move(tensor);
  return add_value(std::move(value));
}

NodeId Graph::add_node(OpKind op, std::string name, std::vector<ValueId> inputs,
                       Attributes attributes, std::size_t output_count) {
  Node node;
  node.op = op;
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  return append(std::move(node), output_count);
}

NodeId Graph::add_subgraph(std::string name, std::vector<ValueId> inputs,
                           std::shared_ptr<const Graph> body) {
  Node node;
  node.op = OpKind::Subgraph;
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  const std::size_t output_count = body != nullptr ? body->outputs.size() : 0;
  node.body = std::move(body);
  return append(std::move(node), output_count);
}

NodeId Graph::append(Node node, std::size_t output_count) {
  const auto id = static_cast<NodeId>(nodes_.size());
  const std::size_t first_output = values_.size();
  for (std::size_t i = 0; i < output_count; ++i) {
    Value output;
    output.producer = id;
    if (!node.name.empty())
      output.name = output_count == 1 ? node.name : fmt::format("{}.{}", node.name, i);
    node.outputs.push_back(add_value(std::move(output)));
  }
  nodes_.push_back(std::move(node));
  try {
    infer(*this, id);
  } catch (...) {
    nodes_.pop_back();
    values_.resize(first_output);
    throw;
  }
  return id;
}

ValueId Graph::add_op(OpKind op, std::string name, std::vector<ValueId> inputs,
                      Attributes attributes) {
  const NodeId id = add_node(op, std::move(name), std::move(inputs), std::move(attributes));
  return nodes_[id].outputs.front();
}

std::vector<NodeId> Graph::order() const {
  enum class State : std::uint8_t { unseen, open, done };
  struct Visit {
    NodeId node;
    std::size_t next_input;
  };
  std::vector<State> state(nodes_.size(), State::unseen);
  std::vector<NodeId> result;
  std::vector<Visit> stack;  // not the call stack: a model may be deep

  for (NodeId root = 0; root < nodes_.size(); ++root) {
    if (nodes_[root].erased || state[root] != State::unseen) continue;
    state[root] = State::open;
    stack.push_back({root, 0});
    while (!stack.empty()) {
      const NodeId id = stack.back().node;
      const Node& node = nodes_[id];
      if (stack.back().next_input == node.inputs.size()) {
        state[id] = State::done;
        result.push_back(id);
        stack.pop_back();
        continue;
      }
      const ValueId input = node.inputs[stack.back().next_input++];
      if (input >= values_.size()) continue;
      const NodeId producer = values_[input].producer;
      if (producer >= nodes_.size() || nodes_[producer].erased) continue;
      if (state[producer] == State::open)
        throw Error(fmt::format("graph '{}' has a cycle through node '{}' ({})", name,
                                nodes_[producer].name, info(nodes_[producer].op).name));
      if (state[producer] == State::unseen) {
        state[producer] = State::open;
        stack.push_back({producer, 0});
      }
    }
  }
  return result;
}

std::vector<std::vector<NodeId>> Graph::users() const {
  std::vector<std::vector<NodeId>> result(values_.size());
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].erased) continue;
    for (const ValueId input : nodes_[id].inputs)
      if (input < values_.size()) result[input].push_back(id);
  }
  return result;
}

bool Graph::is_output(ValueId id) const {
  return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes_)
    if (!node.erased) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::erase_node(NodeId id) { nodes_[id].erased = true; }

void Graph::erase_dead_nodes() {
  std::vector<std::size_t> reads(values_.size(), 0);
  for (const ValueId output : outputs) ++reads[output];
  for (const Node& node : nodes_)
    if (!node.erased)
      for (const ValueId input : node.inputs)
        if (input != kNone) ++reads[input];

  const auto is_dead = [&](const Node& node) {
    return !node.erased && std::all_of(node.outputs.begin(), node.outputs.end(),
                                       [&](ValueId output) { return reads[output] == 0; });
  };
  std::vector<NodeId> dead;
  for (NodeId id = 0; id < nodes_.size(); ++id)
    if (is_dead(nodes_[id])) dead.push_back(id);
  while (!dead.empty()) {
    Node& node = nodes_[dead.back()];
    dead.pop_back();
    if (node.erased) continue;
    node.erased = true;
    for (const ValueId input : node.inputs) {
      if (input == kNone || --reads[input] != 0) continue;
      const NodeId producer = values_[input].producer;
      if (producer != kNone && is_dead(nodes_[producer])) dead.push_back(producer);
    }
  }
}

Expr Graph::fresh_symbol(std::string_view hint) {
  const auto in_use = [&](std::string_view symbol) {
    const auto uses = [&](const Value& value) { return uses_symbol(value, symbol); };
    const auto checks = [&](const Facts::Check& check) {
      return check.left.uses(symbol) || check.right.uses(symbol);
    };
    return std::any_of(values_.begin(), values_.end(), uses) ||
           std::any_of(facts.checks().begin(), facts.checks().end(), checks);
  };
  for (;;) {
    const std::string candidate = fmt::format("{}{}", hint, next_symbol_++);
    if (!in_use(candidate)) return Expr::symbol(candidate);
  }
}

std::vector<std::string> Graph::symbols() const {
  std::set<std::string> symbols;
  for (const Value& value : values_)
    if (value.producer == kNone || !nodes_[value.producer].erased) collect_symbols(value, symbols);
  for (const Facts::Check& check : facts.checks()) {
    symbols.merge(check.left.symbols());
    symbols.merge(check.right.symbols());
  }
  return {symbols.begin(), symbols.end()};
}

}  // namespace burin
