#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "burin/graph.h"
#include "plugins/onnxruntime/model_index.h"

namespace burin::ort {

/// A value of the model that a part needs at call time.
struct PartSource {
  std::string name;
  /// What its dimensions are; 1 where its contents repeat and only the first is read.
  Shape shape;
  std::vector<bool> repeated;  ///< empty: none
  /// Small integers: `shape` is what their elements are (those at `places`), and nothing else is needed of them.
  bool tells_dimensions = false;
  std::vector<std::size_t> places;
};

/// An input of the kernel: a source, or a constant.
struct PartOperand {
  std::size_t source = 0;
  std::optional<Shape> view;  ///< in other dimensions than those of the source
  std::optional<Tensor> constant;
};

/// A value of the model that the kernel computes.
struct PartResult {
  std::string name;
  std::size_t output = 0;  ///< of the kernel
  Shape shape;
};

/// Some nodes of a model as one kernel, and how it is called.
struct Part {
  std::string kind;                   ///< "sdpa", "product" or "elementwise"
  std::shared_ptr<const Graph> body;  ///< owns its constants
  std::vector<PartSource> sources;
  std::vector<PartOperand> operands;  ///< as the inputs of the body
  std::vector<PartResult> results;    ///< one for each output of the body
  Facts facts;                        ///< over the symbols of the sources
};

/// What the Graph of the whole model says of its values.
class KnownValues {
 public:
  /// `imported`: as the frontend made it, before anything was moved.
  explicit KnownValues(const frontend::OnnxKnownPart& imported);

  /// nullptr for a value that is not in the Graph.
  const Value* find(const std::string& name) const;
  /// The dimensions along which it repeats; empty: none.
  const std::vector<bool>& repeated(const std::string& name) const;
  const Facts& facts() const { return imported_.graph.facts; }

 private:
  const frontend::OnnxKnownPart& imported_;
  std::vector<std::vector<bool>> repeated_;
};

/// How a part is cut out of the model. What is on is better where it is possible.
struct PartOptions {
  std::string name;  ///< what the kernel is called
  /// Nodes in front of the part's own that are computed once more, inside of the kernel.
  std::vector<std::size_t> copied;
  bool narrow = true;  ///< of what repeats, the first element is read
};

/// Makes one kernel of these nodes, in the order of the model: they become a model of their own, which is read,
/// canonicalized and carved as a whole one is. So whatever chose the nodes, the part computes what they compute.
/// In place of a Part: why it is none.
std::variant<Part, std::string> make_part(const ModelIndex& model, const KnownValues& known,
                                          const std::vector<std::size_t>& nodes, const PartOptions& options);

}  // namespace burin::ort
