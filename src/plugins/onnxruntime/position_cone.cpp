#include "plugins/onnxruntime/position_cone.h"

#include <string>

namespace burin::ort {
namespace {

/// More than any exporter needs for a mask; tables that take more are read.
constexpr std::size_t kLargestCone = 64;

class Cone {
 public:
  Cone(const ModelIndex& model, const KnownValues& known, const std::set<std::size_t>& own)
      : model_(model), known_(known), own_(own) {}

  /// False where the value depends on more than positions.
  bool add(const std::string& value) {
    if (value.empty() || is_known(value)) return true;
    const std::size_t producer = model_.producer(value);
    if (producer == ModelIndex::kNoNode || own_.contains(producer)) return false;
    if (!nodes_.insert(producer).second) return true;
    if (nodes_.size() > kLargestCone) return false;
    for (const std::string& input : model_.node(producer).inputs)
      if (!add(input)) return false;
    return true;
  }
  const std::set<std::size_t>& nodes() const { return nodes_; }

 private:
  bool is_known(const std::string& value) const {
    if (model_.initializer(value) != nullptr) return true;
    const Value* v = known_.find(value);
    return v != nullptr && (v->constant || v->elements);
  }

  const ModelIndex& model_;
  const KnownValues& known_;
  const std::set<std::size_t>& own_;
  std::set<std::size_t> nodes_;
};

}  // namespace

std::vector<std::size_t> position_cone(const ModelIndex& model, const KnownValues& known,
                                       const std::set<std::size_t>& nodes) {
  std::set<std::size_t> all;
  for (const std::size_t i : nodes)
    for (const std::string& input : model.node(i).inputs) {
      Cone cone(model, known, nodes);
      if (cone.add(input)) all.insert(cone.nodes().begin(), cone.nodes().end());
    }
  return {all.begin(), all.end()};
}

}  // namespace burin::ort
