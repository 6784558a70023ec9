// The printer. It prints broken graphs too: a dump is most wanted where something went wrong.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "burin/error.h"
#include "burin/graph.h"
#include "graph/text.h"

namespace burin {
namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string name_text(std::string_view name) {
  return text::is_identifier(name) ? std::string(name) : quoted(name);
}

/// Shortest text that gives the same number; never one that reads as an integer.
template <typename T>
std::string float_text(T value) {
  if (std::isnan(value)) return "nan";
  std::string result = fmt::format("{}", value);
  if (result.find_first_of(".en") == std::string::npos) result += ".0";
  return result;
}

/// The same for the 16-bit formats, which need fewer digits than the float of the same value.
std::string half_text(const Tensor& tensor, std::int64_t i) {
  const double value = tensor.at(i);
  Tensor read = Tensor::zeros(tensor.precision(), {});
  for (int digits = 1; digits < 9 && std::isfinite(value); ++digits) {
    std::string result = fmt::format("{:.{}g}", value, digits);
    read.set(0, std::strtod(result.c_str(), nullptr));
    if (read.at(0) != value) continue;
    return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
  }
  return float_text(static_cast<float>(value));
}

std::string element_text(const Tensor& tensor, std::int64_t i) {
  switch (tensor.precision()) {
    case Precision::f64: return float_text(tensor.at(i));
    case Precision::f32: return float_text(tensor.as<float>()[i]);
    case Precision::f16:
    case Precision::bf16: return half_text(tensor, i);
    default: return fmt::format("{}", tensor.int_at(i));
  }
}

bool is_splat(const Tensor& tensor) {
  const std::size_t size = size_of(tensor.precision());
  return tensor.size() > 0 &&
         std::memcmp(tensor.data(), tensor.data() + size, tensor.bytes() - size) == 0;
}

/// FNV-1a over words.
std::uint64_t hash_of(const Tensor& tensor) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::size_t i = 0; i < tensor.bytes(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, tensor.data() + i, std::min<std::size_t>(8, tensor.bytes() - i));
    hash = (hash ^ word) * 0x100000001b3ULL;
    hash ^= hash >> 32;
  }
  return hash;
}

std::string tensor_text(const Tensor& tensor) {
  std::string result =
      fmt::format("{}{} ", to_string(tensor.precision()), to_string(tensor.dims()));
  if (tensor.size() >= text::kMinSplatElements && is_splat(tensor))
    return result + fmt::format("splat<{}>", element_text(tensor, 0));
  if (tensor.size() > text::kMaxWrittenElements)
    return result + fmt::format("dense<{:016x}>", hash_of(tensor));
  result += '{';
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    if (i != 0) result += ", ";
    result += element_text(tensor, i);
  }
  return result + '}';
}

std::string scalar_text(const Tensor& tensor) {
  const std::string number = element_text(tensor, 0);
  switch (tensor.precision()) {
    case Precision::f32:
    case Precision::i64: return number;
    case Precision::boolean: return tensor.int_at(0) != 0 ? "true" : "false";
    default: return fmt::format("{}({})", to_string(tensor.precision()), number);
  }
}

std::string attribute_text(const Attribute& attribute) {
  struct Visitor {
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return float_text(value); }
    std::string operator()(const std::string& value) const { return quoted(value); }
    std::string operator()(const std::vector<std::int64_t>& values) const {
      return fmt::format("[{}]", fmt::join(values, ","));
    }
    std::string operator()(const Tensor& value) const { return tensor_text(value); }
  };
  return std::visit(Visitor{}, attribute);
}

std::string type_text(const Value& value) {
  std::string result = fmt::format("{}{}", to_string(value.precision), to_string(value.shape));
  if (!value.elements) return result;
  const std::string elements = to_string(*value.elements);
  return result + " {" + elements.substr(1, elements.size() - 2) + "}";
}

std::string fact_text(const Facts::Check& check) {
  std::string relation;
  switch (check.relation) {
    case Facts::Check::Relation::equal: relation = "=="; break;
    case Facts::Check::Relation::divides: relation = "divides"; break;
    case Facts::Check::Relation::at_least: relation = ">="; break;
  }
  const std::string subject = check.subject.empty() ? "" : " " + quoted(check.subject);
  return fmt::format("assume {} {} {}{}", check.left.to_string(), relation, check.right.to_string(),
                     subject);
}

class Printer {
 public:
  Printer(const Graph& graph, std::size_t depth) : graph_(graph), margin_(2 * depth, ' ') {}

  std::string print() {
    out_ = fmt::format("graph @{}(", name_text(graph_.name));
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      if (i != 0) out_ += ", ";
      out_ += spelling(graph_.inputs[i]);
      if (exists(graph_.inputs[i])) out_ += ": " + type_text(graph_.value(graph_.inputs[i]));
    }
    out_ += ") {\n";
    for (const Facts::Check& check : graph_.facts.checks()) line(fact_text(check));
    for (const NodeId id : order()) node(graph_.node(id));
    for (const ValueId output : graph_.outputs) constant(output);
    std::string values;
    for (const ValueId output : graph_.outputs)
      values += (values.empty() ? " " : ", ") + spelling(output);
    line("return" + values);
    return out_ + margin_ + "}";
  }

 private:
  bool exists(ValueId id) const { return id < graph_.value_count(); }

  void line(const std::string& text) { out_ += margin_ + "  " + text + "\n"; }

  std::vector<NodeId> order() const {
    try {
      return graph_.order();
    } catch (const Error&) {  // a cycle
      std::vector<NodeId> result;
      for (NodeId id = 0; id < graph_.node_count(); ++id)
        if (!graph_.node(id).erased) result.push_back(id);
      return result;
    }
  }

  /// Its name if it is the first of that name, else a number.
  const std::string& spelling(ValueId id) {
    const auto known = spellings_.find(id);
    if (known != spellings_.end()) return known->second;
    const bool is_named =
        exists(id) && !graph_.value(id).name.empty() && names_.insert(graph_.value(id).name).second;
    return spellings_[id] = is_named ? "%" + name_text(graph_.value(id).name)
                                     : fmt::format("%{}", next_number_++);
  }

  /// Constants that stand where they are used; an output has to keep its name.
  bool is_inline(ValueId id) const {
    if (!exists(id) || graph_.is_output(id)) return false;
    const auto& constant = graph_.value(id).constant;
    return constant && constant->dims().empty() && constant->size() == 1;
  }

  std::string operand(ValueId id) {
    if (id == kNone) return "_";
    return is_inline(id) ? scalar_text(*graph_.value(id).constant) : spelling(id);
  }

  /// Integers without producer whose elements are expressions.
  bool is_known(ValueId id) const {
    const Value& value = graph_.value(id);
    return value.producer == kNone && !value.constant && value.elements &&
           std::find(graph_.inputs.begin(), graph_.inputs.end(), id) == graph_.inputs.end();
  }

  /// The line of a constant, or of known integers, before its first use.
  void constant(ValueId id) {
    if (!exists(id) || is_inline(id)) return;
    if (!graph_.is_constant(id) && !is_known(id)) return;
    if (!printed_constants_.insert(id).second) return;
    const Value& value = graph_.value(id);
    line(value.constant ? fmt::format("{} = const {}", spelling(id), tensor_text(*value.constant))
                        : fmt::format("{} = known {}", spelling(id), type_text(value)));
  }

  void node(const Node& node) {
    for (const ValueId input : node.inputs) constant(input);
    std::vector<std::string> outputs, operands, types;
    for (const ValueId output : node.outputs) {
      outputs.push_back(spelling(output));
      types.push_back(exists(output) ? type_text(graph_.value(output)) : "?");
    }
    for (const ValueId input : node.inputs) operands.push_back(operand(input));
    for (const auto& [key, attribute] : node.attributes)
      operands.push_back(fmt::format("{}={}", name_text(key), attribute_text(attribute)));
    std::string text = fmt::format("{} = {}", fmt::join(outputs, ", "), info(node.op).text);
    if (!operands.empty()) text += fmt::format(" {}", fmt::join(operands, ", "));
    text += fmt::format(" : {}", fmt::join(types, ", "));
    if (node.name != default_name(node)) text += " " + quoted(node.name);
    if (node.body != nullptr) text += " " + Printer(*node.body, margin_.size() / 2 + 1).print();
    line(text);
  }

  /// The name that the parser gives a node without one.
  std::string default_name(const Node& node) {
    if (node.outputs.empty() || !exists(node.outputs.front())) return "";
    const std::string& name = graph_.value(node.outputs.front()).name;
    const bool is_written =
        !name.empty() && spelling(node.outputs.front()) == "%" + name_text(name);
    return is_written ? name : "";
  }

  const Graph& graph_;
  std::string margin_;
  std::string out_;
  std::unordered_map<ValueId, std::string> spellings_;
  std::unordered_set<std::string> names_;
  std::unordered_set<ValueId> printed_constants_;
  std::size_t next_number_ = 0;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph, 0).print() + "\n"; }

}  // namespace burin
