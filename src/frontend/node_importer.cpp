#include "frontend/node_importer.h"

#include <fmt/format.h>

#include <algorithm>

#include "burin/error.h"

namespace burin::frontend {

ValueId NodeImporter::input(std::size_t i) const {
  if (!has_input(i)) throw Error(fmt::format("input {} is missing", i));
  return inputs_[i];
}

std::int64_t NodeImporter::rank(ValueId id) const {
  return static_cast<std::int64_t>(graph_.value(id).shape.size());
}

Expr NodeImporter::dim(ValueId x, std::size_t dimension) const {
  const Value& value = graph_.value(x);
  if (dimension >= value.shape.size())
    throw Error(fmt::format("'{}' has too few dimensions", value.name));
  return value.shape[dimension];
}

Expr NodeImporter::last_dim(ValueId x) const {
  const std::size_t count = graph_.value(x).shape.size();
  return dim(x, count == 0 ? 0 : count - 1);
}

void NodeImporter::assume_dim(ValueId x, std::size_t dimension, const Expr& size) {
  graph_.facts.assume_equal(
      dim(x, dimension), size,
      fmt::format("{}: '{}', dimension {}", node_.title(), graph_.value(x).name, dimension));
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

std::vector<std::int64_t> NodeImporter::axes_operand() {
  std::vector<std::int64_t> axes = ints_attribute("axes");
  return has_input(1) ? constant_ints(1, "the axes") : axes;
}

ValueId NodeImporter::emit(OpKind op, std::string_view hint, std::vector<ValueId> inputs,
                           Attributes attributes) {
  return graph_.add_op(op, fmt::format("{}.{}", node_.name, hint), std::move(inputs),
                       std::move(attributes));
}

ValueId NodeImporter::cast(ValueId x, Precision to) {
  if (graph_.value(x).precision == to) return x;
  return apply(OpKind::Cast, {x}, {{"to", std::string(to_string(to))}});
}

ValueId NodeImporter::constant(std::string_view hint, Tensor tensor) {
  return graph_.add_constant(fmt::format("{}.{}", node_.name, hint), std::move(tensor));
}

ValueId NodeImporter::slice(ValueId x, std::int64_t axis, const Expr& begin, const Expr& end) {
  return apply(OpKind::Slice, {x, integers("begin", {begin}), integers("end", {end}),
                               integers("axis", {Expr(axis)})});
}

ValueId NodeImporter::reshape(ValueId x, const Shape& shape) {
  return apply(OpKind::Reshape, {x, integers("shape", shape)}, {{"allowzero", std::int64_t{1}}});
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

}  // namespace burin::frontend
