#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "burin/type.h"

namespace burin {

/// A tensor while a graph is interpreted: doubles for all float precisions, i64 for integers and
/// booleans (0 and 1). The contents are shared and never change, so a copy or another shape costs
/// nothing.
///
/// A tensor made from a `Tensor` is converted when it is first read, once, whatever the number of
/// threads.
class PlainTensor {
 public:
  /// Absent: an optional input that is not given.
  PlainTensor() = default;
  PlainTensor(Dims dims, std::vector<double> values);
  PlainTensor(Dims dims, std::vector<std::int64_t> values);
  explicit PlainTensor(const Tensor& tensor);

  bool present() const { return storage_ != nullptr; }
  bool is_float() const;
  const Dims& dims() const { return dims_; }
  std::int64_t rank() const { return static_cast<std::int64_t>(dims_.size()); }
  std::int64_t size() const { return size_; }

  /// The elements; T is double or std::int64_t. Throws burin::Error if the tensor holds the other
  /// kind.
  template <typename T>
  const T* data() const;
  /// Element i as a double, whatever the kind.
  double number(std::int64_t i) const {
    return is_float() ? data<double>()[i] : static_cast<double>(data<std::int64_t>()[i]);
  }

  /// The tensor that this one was made from, if any: same elements, maybe other dimensions.
  const Tensor* source() const;

  /// The same elements under other dimensions. Throws burin::Error if their number differs.
  PlainTensor reshaped(Dims dims) const;
  /// Rounds floats, wraps integers to the width of `precision`. Floats and integers do not convert
  /// into each other here (a Cast does that): throws burin::Error.
  Tensor to_tensor(Precision precision) const;

 private:
  struct Storage;
  std::shared_ptr<const Storage> storage_;
  Dims dims_;
  std::int64_t size_ = 0;
};

/// What the symbols of a graph stand for in one run.
using SymbolValues = std::map<std::string, std::int64_t>;

/// Computes one node. `inputs` in the order of node.inputs, absent where the node has none.
/// `symbols` are for the body of a Subgraph: those that its input shapes do not determine. The
/// results have the kind (float or integer) of the output values; integers narrower than 64 bits
/// have wrapped. Thread-safe. Throws burin::Error that names the node.
std::vector<PlainTensor> evaluate_node(const Graph& graph, const Node& node,
                                       const std::vector<PlainTensor>& inputs,
                                       const SymbolValues& symbols = {});

/// Computes a Subgraph node in the interpreter's place: outputs in the precision of the node's values.
using SubgraphRunner = std::function<std::vector<Tensor>(
    const Node& node, const std::vector<Tensor>& inputs, const SymbolValues& symbols)>;

/// As interpret(), with the Subgraph nodes computed by `runner`.
std::vector<Tensor> interpret_around(const Graph& graph, const std::vector<Tensor>& inputs,
                                     const SymbolValues& symbols, const SubgraphRunner& runner);

}  // namespace burin
