// The reference interpreter: a graph is computed node by node, in order. Floats are doubles all the
// way; only what the graph gives out (and what a Cast says) is rounded. While it runs, everything
// that shape inference claimed is compared with what happens: shapes, known elements, facts. So a
// wrong inference is an error here, not a wrong kernel later.

#include "graph/interpreter.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"

namespace burin {

// ---------------------------------------------------------------------------------------------------------
// PlainTensor

struct PlainTensor::Storage {
  bool is_float = false;
  std::optional<Tensor> source;
  // Filled from `source` by the first reader, if there is a source.
  mutable std::once_flag converted;
  mutable std::vector<double> floats;
  mutable std::vector<std::int64_t> integers;

  void convert() const {
    const auto size = static_cast<std::size_t>(source->size());
    const auto copy = [&]<typename From>(auto& to, const From* from) {
      to.assign(from, from + size);
    };
    switch (source->precision()) {
      case Precision::f32: return copy(floats, source->as<float>());
      case Precision::f64: return copy(floats, source->as<double>());
      case Precision::i64: return copy(integers, source->as<std::int64_t>());
      case Precision::i32: return copy(integers, source->as<std::int32_t>());
      default: break;
    }
    if (is_float) {
      floats.resize(size);
      for (std::size_t i = 0; i < size; ++i) floats[i] = source->at(static_cast<std::int64_t>(i));
      return;
    }
    const bool boolean = source->precision() == Precision::boolean;
    integers.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t value = source->int_at(static_cast<std::int64_t>(i));
      integers[i] = boolean ? static_cast<std::int64_t>(value != 0) : value;
    }
  }
};

namespace {

std::int64_t checked_size(const Dims& dims, std::size_t given) {
  const std::int64_t size = element_count(dims, "an intermediate tensor");
  if (size != static_cast<std::int64_t>(given))
    throw Error(fmt::format("a tensor of dimensions {} needs {} elements, given {}",
                            to_string(dims), size, given));
  return size;
}

}  // namespace

PlainTensor::PlainTensor(Dims dims, std::vector<double> values) : dims_(std::move(dims)) {
  size_ = checked_size(dims_, values.size());
  auto storage = std::make_shared<Storage>();
  storage->is_float = true;
  storage->floats = std::move(values);
  storage_ = std::move(storage);
}

PlainTensor::PlainTensor(Dims dims, std::vector<std::int64_t> values) : dims_(std::move(dims)) {
  size_ = checked_size(dims_, values.size());
  auto storage = std::make_shared<Storage>();
  storage->integers = std::move(values);
  storage_ = std::move(storage);
}

PlainTensor::PlainTensor(const Tensor& tensor) : dims_(tensor.dims()) {
  size_ = checked_size(dims_, static_cast<std::size_t>(tensor.size()));
  auto storage = std::make_shared<Storage>();
  storage->is_float = burin::is_float(tensor.precision());
  storage->source = tensor;
  storage_ = std::move(storage);
}

bool PlainTensor::is_float() const { return storage_->is_float; }

template <typename T>
const T* PlainTensor::data() const {
  constexpr bool wants_float = std::is_same_v<T, double>;
  if (storage_->is_float != wants_float)
    throw Error(wants_float ? "expected floating-point elements, given integers"
                            : "expected integer elements, given floating-point ones");
  if (storage_->source) std::call_once(storage_->converted, [&] { storage_->convert(); });
  if constexpr (wants_float) {
    return storage_->floats.data();
  } else {
    return storage_->integers.data();
  }
}
template const double* PlainTensor::data<double>() const;
template const std::int64_t* PlainTensor::data<std::int64_t>() const;

const Tensor* PlainTensor::source() const {
  return storage_->source ? &*storage_->source : nullptr;
}

PlainTensor PlainTensor::reshaped(Dims dims) const {
  checked_size(dims, static_cast<std::size_t>(size_));
  PlainTensor result = *this;
  result.dims_ = std::move(dims);
  return result;
}

Tensor PlainTensor::to_tensor(Precision precision) const {
  if (burin::is_float(precision) != is_float())
    throw Error(fmt::format("expected elements that fit {}, given {}", to_string(precision),
                            is_float() ? "floating-point ones" : "integers"));
  if (const Tensor* tensor = source();
      tensor && tensor->precision() == precision && tensor->dims() == dims_)
    return *tensor;
  Tensor result = Tensor::zeros(precision, dims_);
  if (size_ == 0) return result;
  switch (precision) {
    case Precision::f64: std::copy_n(data<double>(), size_, result.mutable_as<double>()); break;
    case Precision::f32:
      std::transform(data<double>(), data<double>() + size_, result.mutable_as<float>(),
                     [](double x) { return static_cast<float>(x); });
      break;
    case Precision::f16:
    case Precision::bf16:
      for (std::int64_t i = 0; i < size_; ++i) result.set(i, data<double>()[i]);
      break;
    default:
      for (std::int64_t i = 0; i < size_; ++i)
        result.set_int(i, wrap_to(precision, data<std::int64_t>()[i]));
  }
  return result;
}

// ---------------------------------------------------------------------------------------------------------
// Helpers of all categories

namespace interpreter {

void fail(const std::string& message) { throw Error(message); }

std::vector<std::int64_t> integers(const PlainTensor& tensor, std::string_view what) {
  if (tensor.is_float())
    fail(fmt::format("{} must be integers, given floating-point numbers", what));
  const std::int64_t* data = tensor.data<std::int64_t>();
  return {data, data + tensor.size()};
}

std::int64_t scalar_integer(const PlainTensor& tensor, std::string_view what) {
  const std::vector<std::int64_t> values = integers(tensor, what);
  if (values.size() != 1)
    fail(fmt::format("{} must have one element, given {}", what, to_string(tensor.dims())));
  return values[0];
}

double scalar_number(const PlainTensor& tensor, std::string_view what) {
  if (tensor.size() != 1)
    fail(fmt::format("{} must have one element, given {}", what, to_string(tensor.dims())));
  return tensor.number(0);
}

std::int64_t resolve_axis(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank)
    fail(fmt::format("axis {} is not in a tensor of rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

std::int64_t product(std::span<const std::int64_t> dims) {
  std::int64_t result = 1;
  for (const std::int64_t dim : dims) result *= dim;
  return result;
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  Dims result(std::max(a.size(), b.size()));
  for (std::size_t i = 1; i <= result.size(); ++i) {
    const std::int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    const std::int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1)
      fail(fmt::format("dimensions {} and {} do not broadcast: {} against {}", to_string(a),
                       to_string(b), x, y));
    result[result.size() - i] = x == 1 ? y : x;
  }
  return result;
}

Dims broadcast_strides(const Dims& dims, const Dims& to) {
  const Dims dense = row_major_strides(dims);
  Dims strides(to.size(), 0);
  if (dims.size() > to.size())
    fail(fmt::format("{} does not broadcast to {}", to_string(dims), to_string(to)));
  const std::size_t shift = to.size() - dims.size();
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] != to[d + shift] && dims[d] != 1)
      fail(fmt::format("{} does not broadcast to {}", to_string(dims), to_string(to)));
    strides[d + shift] = dims[d] == 1 ? 0 : dense[d];
  }
  return strides;
}

std::vector<std::int64_t> all_offsets(const Dims& dims, const Dims& strides) {
  std::vector<std::int64_t> offsets;
  offsets.reserve(static_cast<std::size_t>(product(dims)));
  for_each_run<1>(dims, {strides}, [&](const auto& start, std::int64_t count, const auto& steps) {
    for (std::int64_t i = 0; i < count; ++i) offsets.push_back(start[0] + i * steps[0]);
  });
  return offsets;
}

std::int64_t to_integer(double x) {
  if (std::isnan(x)) return 0;
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (x >= kLimit) return std::numeric_limits<std::int64_t>::max();
  if (x < -kLimit) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(x);
}

std::int64_t cast_to_integer(Precision precision, double x) {
  if (precision == Precision::i32) return truncate_to<std::int32_t>(x);
  if (precision == Precision::i64) return truncate_to<std::int64_t>(x);
  return wrap_to(precision, to_integer(x));
}

}  // namespace interpreter

// ---------------------------------------------------------------------------------------------------------
// The run of a graph

namespace {

using interpreter::fail;
using interpreter::NodeTable;

const NodeTable& node_table() {
  static const NodeTable table = [] {
    NodeTable t;
    interpreter::add_elementwise(t);
    interpreter::add_reduce(t);
    interpreter::add_normalize(t);
    interpreter::add_matmul(t);
    interpreter::add_spatial(t);
    interpreter::add_movement(t);
    interpreter::add_index(t);
    return t;
  }();
  return table;
}

std::string label(const Graph& graph, const Node& node) {
  std::string name = node.name;
  if (name.empty() && !node.outputs.empty()) name = graph.value(node.outputs[0]).name;
  return fmt::format("node '{}' ({})", name, info(node.op).name);
}

/// What the symbols stand for, as far as the dimensions and elements seen so far determine them.
class Bindings {
 public:
  explicit Bindings(SymbolValues values) : values_(std::move(values)) {}

  const SymbolValues& values() const { return values_; }
  /// For symbols that stay open. Those that are known keep their values.
  void add_missing(const SymbolValues& values) { values_.insert(values.begin(), values.end()); }

  /// The value, or nothing if a symbol is not known.
  std::optional<std::int64_t> evaluate(const Expr& e) const {
    if (const auto constant = e.as_constant()) return constant;
    for (const std::string& symbol : e.symbols())
      if (!values_.contains(symbol)) return std::nullopt;
    return e.evaluate(values_);
  }

  /// Takes `expected == given` as an equation: checks it, or learns the one symbol that is not
  /// known. False if it can not tell yet. `subject` makes the words that a message starts with.
  bool equate(const Expr& expected, std::int64_t given,
              const std::function<std::string()>& subject) {
    if (const auto value = evaluate(expected)) {
      if (*value == given) return true;
      const std::string written = expected.to_string();
      throw Error(fmt::format("{}: expected {}{}, given {}", subject(), written,
                              expected.is_constant() ? "" : fmt::format(" = {}", *value), given));
    }
    std::optional<std::string> open;
    for (const std::string& symbol : expected.symbols()) {
      if (values_.contains(symbol)) continue;
      if (open) return false;
      open = symbol;
    }
    // expected = factor * open + rest
    const std::optional<Expr> factor = expected.coefficient(*open);
    if (!factor) return false;
    const std::optional<std::int64_t> by = evaluate(*factor);
    const std::optional<std::int64_t> rest = evaluate(expected.substitute({{*open, Expr(0)}}));
    if (!by || !rest || *by == 0) return false;
    const std::int64_t difference = interpreter::wrap_sub(given, *rest);
    if (difference % *by != 0)
      throw Error(fmt::format("{}: expected {}, given {}, which no integer {} makes", subject(),
                              expected.to_string(), given, *open));
    values_[*open] = difference / *by;
    return true;
  }

 private:
  SymbolValues values_;
};

/// "dimension 1 of input 'mask'"
std::string place(std::string_view word, std::size_t index, std::string_view kind,
                  const Value& value) {
  return fmt::format("{} {} of {} '{}'", word, index, kind, value.name);
}

/// One run of one graph.
class Run {
 public:
  Run(const Graph& graph, const SymbolValues& symbols) : graph_(graph), bindings_(symbols) {}

  /// Symbols for what the inputs leave open.
  void set_outer_symbols(const SymbolValues& symbols) { outer_ = &symbols; }
  /// Who computes Subgraph nodes, if not their bodies' interpretation.
  void set_runner(const SubgraphRunner& runner) { runner_ = &runner; }

  std::vector<PlainTensor> operator()(const std::vector<PlainTensor>& inputs) {
    tensors_.resize(graph_.value_count());
    bind(inputs);
    check_facts();
    count_uses();
    for (const NodeId id : graph_.order()) compute(graph_.node(id));
    std::vector<PlainTensor> results;
    results.reserve(graph_.outputs.size());
    for (const ValueId id : graph_.outputs) results.push_back(read(id));
    check_facts();  // the ones over symbols that the data gave
    return results;
  }

 private:
  void bind(const std::vector<PlainTensor>& inputs) {
    if (inputs.size() != graph_.inputs.size())
      throw Error(fmt::format("graph '{}': expected {} inputs, given {}", graph_.name,
                              graph_.inputs.size(), inputs.size()));
    struct Equation {
      const Expr* expected;
      std::int64_t given;
      const Value* value;
      std::size_t index;
      bool is_element;
    };
    std::vector<Equation> open;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph_.value(graph_.inputs[i]);
      const PlainTensor& tensor = inputs[i];
      if (!tensor.present()) throw Error(fmt::format("input '{}' is missing", value.name));
      tensors_[graph_.inputs[i]] = tensor;
      if (tensor.is_float() != is_float(value.precision))
        throw Error(fmt::format("input '{}': expected {}, given {}", value.name,
                                to_string(value.precision),
                                tensor.is_float() ? "floating-point elements" : "integers"));
      if (tensor.dims().size() != value.shape.size())
        throw Error(fmt::format("input '{}': expected rank {} ({}), given rank {} ({})", value.name,
                                value.shape.size(), to_string(value.shape), tensor.dims().size(),
                                to_string(tensor.dims())));
      for (std::size_t d = 0; d < value.shape.size(); ++d)
        open.push_back({&value.shape[d], tensor.dims()[d], &value, d, false});
      if (value.elements && !tensor.is_float() && std::ssize(*value.elements) == tensor.size())
        for (std::size_t e = 0; e < value.elements->size(); ++e)
          open.push_back({&(*value.elements)[e], tensor.data<std::int64_t>()[e], &value, e, true});
    }
    // Lone symbols first, then what they make solvable, until nothing more is learnt.
    const auto solve = [&](bool lone) {
      return std::erase_if(open, [&](const Equation& e) {
        if (lone && !e.expected->is_constant() && !e.expected->as_symbol()) return false;
        return bindings_.equate(*e.expected, e.given, [&] {
          return place(e.is_element ? "element" : "dimension", e.index, "input", *e.value);
        });
      });
    };
    const auto solve_all = [&] {
      solve(true);
      while (solve(false) > 0) {
      }
    };
    solve_all();
    if (outer_ != nullptr) {
      bindings_.add_missing(*outer_);
      solve_all();
    }
  }

  void check_facts() const {
    for (const Facts::Check& check : graph_.facts.checks()) {
      const auto left = bindings_.evaluate(check.left);
      const auto right = bindings_.evaluate(check.right);
      if (!left || !right) continue;
      bool holds = true;
      std::string_view relation;
      switch (check.relation) {
        case Facts::Check::Relation::equal:
          holds = *left == *right;
          relation = "equal to";
          break;
        case Facts::Check::Relation::divides:
          holds = *left == 0 ? *right == 0 : *right % *left == 0;
          relation = "a divisor of";
          break;
        case Facts::Check::Relation::at_least:
          holds = *left >= *right;
          relation = "at least";
          break;
      }
      if (!holds)
        throw Error(fmt::format("{}: expected {} = {} {} {} = {}", check.subject,
                                check.left.to_string(), *left, relation, check.right.to_string(),
                                *right));
    }
  }

  void count_uses() {
    uses_.assign(graph_.value_count(), 0);
    for (const NodeId id : graph_.order())
      for (const ValueId input : graph_.node(id).inputs)
        if (input != kNone) ++uses_[input];
    for (const ValueId output : graph_.outputs) ++uses_[output];  // never freed
  }

  /// The contents of a value: computed, a constant, or elements that are expressions over symbols.
  const PlainTensor& read(ValueId id) {
    PlainTensor& tensor = tensors_[id];
    if (tensor.present()) return tensor;
    const Value& value = graph_.value(id);
    if (value.constant) return tensor = PlainTensor(*value.constant);
    if (value.producer == kNone && value.elements) return tensor = from_elements(value);
    throw Error(fmt::format("value '{}': nothing produces it, and it is no input and no constant",
                            value.name));
  }

  PlainTensor from_elements(const Value& value) const {
    std::vector<std::int64_t> elements;
    for (const Expr& e : *value.elements) {
      const auto known = bindings_.evaluate(e);
      if (!known)
        throw Error(fmt::format("value '{}': the inputs and the given symbols do not determine {}",
                                value.name, e.to_string()));
      elements.push_back(*known);
    }
    Dims dims;
    if (!value.shape.empty()) dims.push_back(static_cast<std::int64_t>(elements.size()));
    if (is_float(value.precision))
      return {dims, std::vector<double>(elements.begin(), elements.end())};
    return {dims, std::move(elements)};
  }

  void compute(const Node& node) {
    std::vector<PlainTensor> inputs;
    inputs.reserve(node.inputs.size());
    for (const ValueId id : node.inputs) inputs.push_back(id == kNone ? PlainTensor() : read(id));
    std::vector<PlainTensor> results =
        runner_ != nullptr && node.op == OpKind::Subgraph
            ? run_subgraph(node, inputs)
            : evaluate_node(graph_, node, inputs, bindings_.values());
    inputs.clear();
    for (const ValueId id : node.inputs)
      if (id != kNone && --uses_[id] == 0) tensors_[id] = PlainTensor();
    for (std::size_t i = 0; i < results.size(); ++i) {
      const ValueId id = node.outputs[i];
      compare_with_inference(node, graph_.value(id), results[i]);
      if (uses_[id] > 0) tensors_[id] = std::move(results[i]);
    }
  }

  std::vector<PlainTensor> run_subgraph(const Node& node, const std::vector<PlainTensor>& inputs) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      tensors.push_back(inputs[i].to_tensor(graph_.value(node.inputs[i]).precision));
    std::vector<PlainTensor> results;
    for (const Tensor& t : (*runner_)(node, tensors, bindings_.values())) results.emplace_back(t);
    return results;
  }

  void compare_with_inference(const Node& node, const Value& value, const PlainTensor& tensor) {
    const auto subject = [&](std::string_view word, std::size_t index) {
      return [&, word, index] {
        return fmt::format("{}: {}", label(graph_, node), place(word, index, "output", value));
      };
    };
    if (tensor.dims().size() != value.shape.size())
      throw Error(fmt::format("{}: output '{}' was inferred as {}, computed as {}",
                              label(graph_, node), value.name, to_string(value.shape),
                              to_string(tensor.dims())));
    for (std::size_t d = 0; d < value.shape.size(); ++d)
      bindings_.equate(value.shape[d], tensor.dims()[d], subject("dimension", d));
    if (!value.elements || tensor.is_float() || std::ssize(*value.elements) != tensor.size())
      return;
    for (std::size_t e = 0; e < value.elements->size(); ++e)
      bindings_.equate((*value.elements)[e], tensor.data<std::int64_t>()[e], subject("element", e));
  }

  const Graph& graph_;
  Bindings bindings_;
  const SymbolValues* outer_ = nullptr;
  const SubgraphRunner* runner_ = nullptr;
  std::vector<PlainTensor>
      tensors_;  // by ValueId; absent before it is computed and after its last use
  std::vector<std::int64_t> uses_;  // by ValueId: readers that are still to come
};

/// Integers that are narrower than 64 bits wrap, as they would in memory.
PlainTensor wrapped(PlainTensor tensor, Precision precision) {
  if (tensor.is_float() || precision == Precision::i64) return tensor;
  const std::int64_t* data = tensor.data<std::int64_t>();
  const auto wraps = [&](std::int64_t x) { return wrap_to(precision, x) != x; };
  if (std::none_of(data, data + tensor.size(), wraps)) return tensor;
  std::vector<std::int64_t> values(data, data + tensor.size());
  for (std::int64_t& x : values) x = wrap_to(precision, x);
  return {tensor.dims(), std::move(values)};
}

std::vector<PlainTensor> evaluate(const Graph& graph, const Node& node,
                                  const std::vector<PlainTensor>& inputs,
                                  const SymbolValues& symbols) {
  const OpInfo& op = info(node.op);
  const auto given = static_cast<int>(inputs.size());
  if (given < op.min_inputs || (op.max_inputs >= 0 && given > op.max_inputs))
    fail(fmt::format("expected {} to {} inputs, given {}", op.min_inputs, op.max_inputs, given));
  for (int i = 0; i < op.min_inputs; ++i)
    if (!inputs[static_cast<std::size_t>(i)].present()) fail(fmt::format("input {} is missing", i));

  std::vector<PlainTensor> results;
  if (node.op == OpKind::Subgraph) {
    if (!node.body) fail("it has no body");
    Run run(*node.body, {});
    run.set_outer_symbols(symbols);
    results = run(inputs);
  } else {
    std::vector<const PlainTensor*> pointers;
    for (const PlainTensor& input : inputs) pointers.push_back(input.present() ? &input : nullptr);
    const interpreter::NodeFunction function = node_table()[node.op];
    if (function == nullptr) fail("the interpreter does not know this operation");
    results = function(node, graph, pointers);
  }

  if (results.size() < node.outputs.size())
    fail(fmt::format("{} outputs are expected, the operation gives {}", node.outputs.size(),
                     results.size()));
  results.resize(node.outputs.size());  // optional outputs that nobody wants
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Value& value = graph.value(node.outputs[i]);
    if (results[i].is_float() != is_float(value.precision))
      fail(fmt::format("output '{}': expected {}, computed {}", value.name,
                       to_string(value.precision),
                       results[i].is_float() ? "floating-point elements" : "integers"));
    if (node.op != OpKind::Subgraph) results[i] = wrapped(std::move(results[i]), value.precision);
  }
  return results;
}

}  // namespace

std::vector<PlainTensor> evaluate_node(const Graph& graph, const Node& node,
                                       const std::vector<PlainTensor>& inputs,
                                       const SymbolValues& symbols) {
  try {
    return evaluate(graph, node, inputs, symbols);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", label(graph, node), error.what()));
  }
}

std::vector<Tensor> interpret(const Graph& graph, const std::vector<Tensor>& inputs,
                              const std::map<std::string, std::int64_t>& symbols) {
  return interpret_around(graph, inputs, symbols, nullptr);
}

std::vector<Tensor> interpret_around(const Graph& graph, const std::vector<Tensor>& inputs,
                                     const SymbolValues& symbols, const SubgraphRunner& runner) {
  std::vector<PlainTensor> plain;
  plain.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (i < graph.inputs.size()) {
      const Value& value = graph.value(graph.inputs[i]);
      if (inputs[i].precision() != value.precision)
        throw Error(fmt::format("input '{}': expected {}, given {}", value.name,
                                to_string(value.precision), to_string(inputs[i].precision())));
    }
    plain.emplace_back(inputs[i]);
  }
  Run run(graph, symbols);
  if (runner) run.set_runner(runner);
  const std::vector<PlainTensor> results = run(plain);
  std::vector<Tensor> tensors;
  tensors.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i)
    tensors.push_back(results[i].to_tensor(graph.value(graph.outputs[i]).precision));
  return tensors;
}

}  // namespace burin
