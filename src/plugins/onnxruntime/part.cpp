#include "plugins/onnxruntime/part.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "burin/error.h"
#include "burin/tokenize.h"
#include "graph/canonicalize.h"
#include "plugins/onnxruntime/repeated_dimensions.h"

namespace burin::ort {
namespace {

/// Why nodes are no part. Thrown and caught in this file.
struct NoPart {
  std::string reason;
};

bool is_known_integer(const Value& value) { return value.elements && !is_float(value.precision); }

/// What a value of the graph is, but for its dimensions.
ValueId root(const Graph& graph, ValueId id) {
  for (const Node* node = producer(graph, id); node != nullptr && only_renames(node->op); node = producer(graph, id))
    id = node->inputs[0];
  return id;
}

Tensor copy_of(const Tensor& tensor) {
  Tensor copy = Tensor::zeros(tensor.precision(), tensor.dims());
  if (tensor.bytes() > 0) std::memcpy(copy.mutable_data(), tensor.data(), tensor.bytes());
  return copy;
}

/// With constants of its own: the model's are not there for long.
std::shared_ptr<const Graph> owning(const Graph& body, const std::string& name) {
  Graph copy = body;
  copy.name = name;
  for (ValueId id = 0; id < copy.value_count(); ++id)
    if (auto& constant = copy.value(id).constant) constant = copy_of(*constant);
  return std::make_shared<const Graph>(std::move(copy));
}

/// The nodes as a model of their own, with what comes from outside.
class CutOut {
 public:
  CutOut(const ModelIndex& model, const KnownValues& known, const std::vector<std::size_t>& nodes,
         const PartOptions& options)
      : model_(model), known_(known), own_(nodes.begin(), nodes.end()), narrow_(options.narrow) {
    std::set<std::size_t> all = own_;
    all.insert(options.copied.begin(), options.copied.end());
    part_.opsets = model.model().opsets;
    for (const std::size_t i : all)
      for (const std::string& output : model.node(i).outputs) met_.insert(output);
    // What both read is told by what the part's own nodes read: these come first.
    for (const std::size_t i : own_) read(i, true);
    for (const std::size_t i : options.copied) read(i, false);
    keep_what_is_told();
    for (const std::size_t i : all) part_.nodes.push_back(model.node(i));
    for (const std::size_t i : own_)
      for (const std::string& output : model.node(i).outputs)
        if (!output.empty() && model.leaves(output, own_)) part_.outputs.push_back(output);
  }

  Graph graph() const { return frontend::import_part(part_, values_, known_.facts()); }
  const std::vector<PartSource>& sources() const { return sources_; }
  /// By the names of the graph's inputs.
  const std::map<std::string, std::size_t>& source_of() const { return source_of_; }
  const std::vector<std::string>& outputs() const { return part_.outputs; }

 private:
  void read(std::size_t node, bool is_own) {
    for (const std::string& input : model_.node(node).inputs)
      if (!input.empty() && met_.insert(input).second) come_from_outside(input, is_own);
  }

  void come_from_outside(const std::string& name, bool is_read_by_own) {
    const Tensor* initializer = model_.initializer(name);
    if (initializer != nullptr) {
      part_.initializers.push_back({name, *initializer});
      return;
    }
    const Value* value = known_.find(name);
    if (value == nullptr) throw NoPart{fmt::format("nothing is known of '{}'", name)};
    if (value->constant) {
      part_.initializers.push_back({name, *value->constant});
    } else if (is_known_integer(*value)) {
      Value& integers = add_value(name, *value, value->shape);
      integers.elements = simplified(*value->elements);
      if (is_read_by_own) add_witness(name, Value(integers));
    } else if (narrow_ && !known_.repeated(name).empty()) {
      add_narrow(name, *value);
    } else {
      add_source({name, simplified(value->shape), {}, false, {}}, name);
      add_value(name, *value, sources_.back().shape);
    }
  }

  /// As inference would rewrite it: what is equal has one symbol.
  Shape simplified(const Shape& shape) const {
    Shape result;
    for (const Expr& e : shape) result.push_back(known_.facts().simplify(e));
    return result;
  }

  Value& add_value(const std::string& name, const Value& like, const Shape& shape) {
    Value value;
    value.name = name;
    value.precision = like.precision;
    value.shape = shape;
    values_.push_back(std::move(value));
    return values_.back();
  }

  void add_source(PartSource source, const std::string& input) {
    source_of_[input] = sources_.size();
    sources_.push_back(std::move(source));
  }

  /// Integers that are known as expressions give the symbols in them their values at call time, as the dimensions of a
  /// tensor would: the graph gets an input with these dimensions, which nobody reads.
  void add_witness(const std::string& name, const Value& value) {
    PartSource source{name, {}, {}, true, {}};
    for (std::size_t i = 0; i < value.elements->size(); ++i) {
      if ((*value.elements)[i].as_constant()) continue;
      source.shape.push_back((*value.elements)[i]);
      source.places.push_back(i);
    }
    if (source.shape.empty() || value.precision != Precision::i64) return;
    const std::string input = name + ".elements";
    add_value(input, value, source.shape);
    add_source(std::move(source), input);
  }

  /// Of what repeats one element comes in, and is expanded; where that can be done without, canonicalization finds out.
  void add_narrow(const std::string& name, const Value& value) {
    const Shape shape = simplified(value.shape);
    PartSource source{name, shape, known_.repeated(name), false, {}};
    for (std::size_t d = 0; d < source.shape.size(); ++d)
      if (source.repeated[d]) source.shape[d] = 1;
    const std::string narrow = name + ".narrow", extents = name + ".shape";
    add_value(narrow, value, source.shape);
    add_source(std::move(source), narrow);
    Value whole;
    whole.name = extents;
    whole.precision = Precision::i64;
    whole.shape = {Expr(static_cast<std::int64_t>(shape.size()))};
    whole.elements = shape;
    values_.push_back(std::move(whole));
    frontend::OnnxNode expand;
    expand.op = "Expand";
    expand.name = name + ".expand";
    expand.inputs = {narrow, extents};
    expand.outputs = {name};
    part_.nodes.push_back(std::move(expand));
  }

  /// Expressions over symbols that are no dimension of what the part reads become symbols of their own:
  ///
  ///     %x: f32[B*S, 768], %y: f32[B*S, 768]     ->     %x: f32[extent.0, 768], %y: f32[extent.0, 768]
  void keep_what_is_told() {
    std::set<std::string> told;
    for (const PartSource& source : sources_)
      for (const Expr& e : source.shape)
        if (const auto symbol = e.as_symbol()) told.insert(*symbol);
    std::map<Expr, Expr> extents;
    const auto keep = [&](Shape& shape) {
      for (Expr& e : shape)
        if (!uses_only({e}, told))
          e = extents.try_emplace(e, Expr::symbol(fmt::format("extent.{}", extents.size()))).first->second;
    };
    for (PartSource& source : sources_) keep(source.shape);
    for (Value& value : values_) {
      keep(value.shape);
      if (value.elements) keep(*value.elements);
    }
  }

  const ModelIndex& model_;
  const KnownValues& known_;
  std::set<std::size_t> own_;
  bool narrow_;
  frontend::OnnxModel part_;
  std::vector<Value> values_;
  std::vector<PartSource> sources_;
  std::map<std::string, std::size_t> source_of_;
  std::set<std::string> met_;
};

/// Finds the one kernel in a graph that was carved.
class Assembly {
 public:
  Assembly(const CutOut& cut, Graph graph) : cut_(cut), graph_(std::move(graph)) {
    canonicalize(graph_);
    report_ = tokenize(graph_);
  }

  Part run(const std::string& name) {
    const Node& kernel = graph_.node(only_kernel());
    Part part;
    part.kind = report_.subgraphs.front().kind;
    part.sources = cut_.sources();
    part.facts = graph_.facts;
    for (const ValueId input : kernel.inputs) part.operands.push_back(operand(input));
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) part.results.push_back(result(kernel, i));
    if (part.results.size() != kernel.outputs.size()) throw NoPart{"its kernel has results that nobody asked for"};
    part.body = owning(*kernel.body, name);
    return part;
  }

 private:
  NodeId only_kernel() const {
    if (report_.subgraphs.size() != 1) throw NoPart{fmt::format("{} kernels{}", report_.subgraphs.size(), reasons())};
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.op != OpKind::Subgraph && !only_renames(node.op))
        throw NoPart{fmt::format("'{}' ({}) is left over", node.name, info(node.op).name)};
    }
    return report_.subgraphs.front().node;
  }

  std::string reasons() const {
    std::string words;
    for (const Rejection& r : report_.rejected) words += fmt::format("; {}: {}", fmt::join(r.nodes, ", "), r.reason);
    return words;
  }

  PartOperand operand(ValueId input) const {
    const ValueId from = root(graph_, input);
    const Value& value = graph_.value(from);
    PartOperand operand;
    if (value.constant) {
      operand.constant = copy_of(*value.constant);
      operand.view = graph_.value(input).shape;
      return operand;
    }
    const auto source = cut_.source_of().find(value.name);
    if (source == cut_.source_of().end() || value.producer != kNone)
      throw NoPart{fmt::format("'{}' is no value of the model", value.name)};
    operand.source = source->second;
    if (input != from) operand.view = graph_.value(input).shape;
    if (operand.view && !cut_.sources()[operand.source].repeated.empty())
      throw NoPart{fmt::format("'{}' repeats, and is reshaped", value.name)};
    return operand;
  }

  PartResult result(const Node& kernel, std::size_t i) {
    const ValueId from = root(graph_, graph_.outputs[i]);
    const auto output = std::find(kernel.outputs.begin(), kernel.outputs.end(), from);
    if (output == kernel.outputs.end()) throw NoPart{fmt::format("'{}' is no result of the kernel", cut_.outputs()[i])};
    if (!given_.insert(from).second) throw NoPart{fmt::format("'{}' is another result, too", cut_.outputs()[i])};
    return {cut_.outputs()[i], static_cast<std::size_t>(output - kernel.outputs.begin()),
            graph_.value(graph_.outputs[i]).shape};
  }

  const CutOut& cut_;
  Graph graph_;
  TokenizeReport report_;
  std::set<ValueId> given_;
};

}  // namespace

KnownValues::KnownValues(const frontend::OnnxKnownPart& imported)
    : imported_(imported), repeated_(repeated_dimensions(imported.graph)) {}

const Value* KnownValues::find(const std::string& name) const {
  const auto found = imported_.values.find(name);
  return found == imported_.values.end() || found->second == kNone ? nullptr : &imported_.graph.value(found->second);
}

const std::vector<bool>& KnownValues::repeated(const std::string& name) const {
  static const std::vector<bool> none;
  const auto found = imported_.values.find(name);
  return found == imported_.values.end() || found->second == kNone ? none : repeated_[found->second];
}

std::variant<Part, std::string> make_part(const ModelIndex& model, const KnownValues& known,
                                          const std::vector<std::size_t>& nodes, const PartOptions& options) {
  try {
    const CutOut cut(model, known, nodes, options);
    return Assembly(cut, cut.graph()).run(options.name);
  } catch (const NoPart& none) {
    return none.reason;
  } catch (const Error& error) {
    return std::string(error.what());
  }
}

}  // namespace burin::ort
