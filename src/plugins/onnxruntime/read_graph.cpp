#include "plugins/onnxruntime/read_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "burin/error.h"
#include "frontend/tensor_data.h"
#include "plugins/onnxruntime/api.h"

namespace burin::ort {
namespace {

using frontend::OnnxAttribute;
using frontend::OnnxDim;
using frontend::OnnxInput;
using frontend::OnnxNode;
using frontend::OnnxOther;

/// All of a list for which the interface has a function that counts and one that fills.
template <typename Item, typename Owner, typename Count, typename Fill>
std::vector<Item> list(const Owner* owner, Count count, Fill fill) {
  std::size_t n = 0;
  check(count(owner, &n));
  std::vector<Item> items(n);
  check(fill(owner, items.data(), n));
  return items;
}

std::string name_of(const OrtValueInfo* value) {
  const char* name = nullptr;
  if (value != nullptr) check(api().GetValueInfoName(value, &name));
  return name != nullptr ? name : "";
}

std::vector<std::string> names_of(const std::vector<const OrtValueInfo*>& values) {
  std::vector<std::string> names;
  for (const OrtValueInfo* value : values) names.push_back(name_of(value));
  return names;
}

std::vector<const OrtValueInfo*> inputs_of(const OrtNode& node) {
  return list<const OrtValueInfo*>(&node, api().Node_GetNumInputs, api().Node_GetInputs);
}

std::vector<const OrtValueInfo*> outputs_of(const OrtNode& node) {
  return list<const OrtValueInfo*>(&node, api().Node_GetNumOutputs, api().Node_GetOutputs);
}

std::vector<const OrtValueInfo*> implicit_inputs_of(const OrtNode& node) {
  return list<const OrtValueInfo*>(&node, api().Node_GetNumImplicitInputs, api().Node_GetImplicitInputs);
}

// ---- Values ----

/// The numbers of element types are those of ONNX.
std::optional<Precision> precision_of(ONNXTensorElementDataType type) {
  try {
    return frontend::precision_from_onnx(type);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Nothing for what is no tensor, or has a rank or element type that is not known.
std::optional<OnnxInput> type_of(const OrtValueInfo& value) {
  const OrtTypeInfo* type = nullptr;
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  check(api().GetValueInfoTypeInfo(&value, &type));
  if (type != nullptr) check(api().CastTypeInfoToTensorInfo(type, &tensor));
  if (tensor == nullptr || !api().TensorTypeAndShape_HasShape(tensor)) return std::nullopt;
  ONNXTensorElementDataType element{};
  check(api().GetTensorElementType(tensor, &element));
  const auto precision = precision_of(element);
  if (!precision) return std::nullopt;
  std::size_t rank = 0;
  check(api().GetDimensionsCount(tensor, &rank));
  std::vector<std::int64_t> numbers(rank);
  std::vector<const char*> words(rank);
  check(api().GetDimensions(tensor, numbers.data(), rank));
  check(api().GetSymbolicDimensions(tensor, words.data(), rank));
  OnnxInput input{name_of(&value), *precision, {}};
  for (std::size_t d = 0; d < rank; ++d) {
    if (numbers[d] >= 0) {
      input.dims.emplace_back(numbers[d]);
    } else if (words[d] != nullptr && *words[d] != '\0') {
      input.dims.emplace_back(std::string(words[d]));
    } else {
      input.dims.emplace_back();
    }
  }
  return input;
}

/// `copy`: the contents go with the value.
std::optional<Tensor> tensor_of(const OrtValue& value, const std::string& name, bool copy) {
  int is_tensor = 0;
  check(api().IsTensor(&value, &is_tensor));
  if (is_tensor == 0) return std::nullopt;
  ONNXTensorElementDataType type{};
  const std::int64_t* extents = nullptr;
  std::size_t rank = 0;
  check(api().GetTensorElementTypeAndShapeDataReference(&value, &type, &extents, &rank));
  const auto precision = precision_of(type);
  if (!precision) return std::nullopt;
  const Dims dims(extents, extents + rank);
  const void* data = nullptr;
  check(api().GetTensorData(&value, &data));
  const std::size_t bytes = frontend::byte_count(*precision, dims, name);
  if (copy) {
    Tensor tensor = Tensor::zeros(*precision, dims);
    if (bytes > 0) std::memcpy(tensor.mutable_data(), data, bytes);
    return tensor;
  }
  const std::shared_ptr<const std::byte> foreign(static_cast<const std::byte*>(data), [](const std::byte*) {});
  return frontend::tensor_from_bytes(*precision, dims, foreign, bytes, name);
}

// ---- Attributes ----

template <typename T>
std::vector<T> read_list(const OrtOpAttr& attribute, OrtOpAttrType type) {
  std::size_t bytes = 0;
  // Without memory it fails, and says how much there is.
  OrtStatus* status = api().ReadOpAttr(&attribute, type, nullptr, 0, &bytes);
  if (bytes == 0) check(status);
  if (status != nullptr) api().ReleaseStatus(status);
  std::vector<T> items(bytes / sizeof(T));
  if (bytes > 0) check(api().ReadOpAttr(&attribute, type, items.data(), bytes, &bytes));
  return items;
}

template <typename T>
T read_one(const OrtOpAttr& attribute, OrtOpAttrType type) {
  T item{};
  std::size_t bytes = 0;
  check(api().ReadOpAttr(&attribute, type, &item, sizeof(T), &bytes));
  return item;
}

OnnxAttribute read_tensor(const OrtOpAttr& attribute, const std::string& name) {
  OrtValue* value = nullptr;
  check(api().OpAttr_GetTensorAttributeAsOrtValue(&attribute, &value));
  const OwnedValue owner(value);
  if (value != nullptr)
    if (auto tensor = tensor_of(*value, name, true)) return std::move(*tensor);
  return OnnxOther{"tensor"};
}

OnnxAttribute read_attribute(const OrtOpAttr& attribute, const std::string& name) {
  OrtOpAttrType type{};
  if (OrtStatus* status = api().OpAttr_GetType(&attribute, &type)) {  // of a kind that the interface has no name for
    api().ReleaseStatus(status);
    return OnnxOther{"no number, string or tensor"};
  }
  switch (type) {
    case ORT_OP_ATTR_INT: return read_one<std::int64_t>(attribute, type);
    case ORT_OP_ATTR_INTS: return read_list<std::int64_t>(attribute, type);
    case ORT_OP_ATTR_FLOAT: return static_cast<double>(read_one<float>(attribute, type));
    case ORT_OP_ATTR_FLOATS: {
      const std::vector<float> items = read_list<float>(attribute, type);
      return std::vector<double>(items.begin(), items.end());
    }
    case ORT_OP_ATTR_STRING: {
      const std::vector<char> text = read_list<char>(attribute, type);
      return std::string(text.begin(), text.end());
    }
    case ORT_OP_ATTR_TENSOR: return read_tensor(attribute, name);
    default: return OnnxOther{"no number, string or tensor"};
  }
}

// ---- The graph ----

class Reader {
 public:
  Reader(const OrtGraph& graph, const std::string& provider) : graph_(graph), provider_(provider) {}

  ReadGraph run() {
    read_opsets();
    for (const OrtValueInfo* value :
         list<const OrtValueInfo*>(&graph_, api().Graph_GetNumInputs, api().Graph_GetInputs))
      meet(value);
    for (const OrtNode* node : list<const OrtNode*>(&graph_, api().Graph_GetNumNodes, api().Graph_GetNodes))
      read_node(*node);
    for (const OrtValueInfo* value :
         list<const OrtValueInfo*>(&graph_, api().Graph_GetNumOutputs, api().Graph_GetOutputs)) {
      const std::string name = name_of(value);
      if (known_.contains(name)) result_.model.outputs.push_back(name);
    }
    return std::move(result_);
  }

 private:
  void read_opsets() {
    std::size_t count = 0;
    check(api().Graph_GetNumOperatorSets(&graph_, &count));
    std::vector<const char*> domains(count);
    std::vector<std::int64_t> versions(count);
    check(api().Graph_GetOperatorSets(&graph_, domains.data(), versions.data(), count));
    for (std::size_t i = 0; i < count; ++i) result_.model.opsets[domain(domains[i])] = versions[i];
  }

  static std::string domain(const char* name) { return std::strcmp(name, "ai.onnx") == 0 ? "" : name; }

  /// A value that no node of this graph computes: an initializer, an input, or one of a graph around it.
  void meet(const OrtValueInfo* value) {
    const std::string name = name_of(value);
    if (name.empty() || known_.contains(name) || unreadable_.contains(name)) return;
    bool is_constant = false;
    check(api().ValueInfo_IsConstantInitializer(value, &is_constant));
    if (is_constant) {
      const OrtValue* contents = nullptr;
      check(api().ValueInfo_GetInitializerValue(value, &contents));
      if (auto tensor = contents != nullptr ? tensor_of(*contents, name, false) : std::nullopt) {
        known_.insert(name);
        result_.model.initializers.push_back({name, std::move(*tensor)});
        return;
      }
    } else if (const auto type = type_of(*value)) {
      known_.insert(name);
      result_.model.inputs.push_back(*type);
      return;
    }
    unreadable_.insert(name);
  }

  void read_node(const OrtNode& ort_node) {
    OnnxNode node;
    const char *op = nullptr, *domain_name = nullptr, *name = nullptr;
    check(api().Node_GetOperatorType(&ort_node, &op));
    check(api().Node_GetDomain(&ort_node, &domain_name));
    check(api().Node_GetName(&ort_node, &name));
    node.op = op;
    node.domain = is_taken(ort_node) ? kUnreadable : domain(domain_name);
    node.name = unused_name(*name != '\0' ? name : fmt::format("{}_{}", op, result_.nodes.size()));
    std::vector<const OrtValueInfo*> inputs = inputs_of(ort_node);
    for (const OrtValueInfo* value : implicit_inputs_of(ort_node)) inputs.push_back(value);
    for (const OrtValueInfo* value : inputs) {
      meet(value);
      if (unreadable_.contains(name_of(value))) {
        node.domain = kUnreadable;
      } else {
        node.inputs.push_back(name_of(value));
      }
    }
    for (const OrtValueInfo* value : outputs_of(ort_node)) {
      node.outputs.push_back(name_of(value));
      if (node.outputs.back().empty()) continue;
      known_.insert(node.outputs.back());
      if (auto type = type_of(*value)) result_.types.emplace(node.outputs.back(), std::move(*type));
    }
    for (const OrtOpAttr* attribute :
         list<const OrtOpAttr*>(&ort_node, api().Node_GetNumAttributes, api().Node_GetAttributes)) {
      const char* key = nullptr;
      check(api().OpAttr_GetName(attribute, &key));
      node.attributes.emplace(key, read_attribute(*attribute, key));
    }
    result_.model.nodes.push_back(std::move(node));
    result_.nodes.push_back(&ort_node);
  }

  bool is_taken(const OrtNode& node) const {
    const char* owner = nullptr;
    check(api().Node_GetEpName(&node, &owner));
    return owner != nullptr && *owner != '\0' && owner != provider_;
  }

  std::string unused_name(const std::string& name) {
    std::string candidate = name;
    for (int n = 2; !node_names_.insert(candidate).second; ++n) candidate = fmt::format("{}_{}", name, n);
    return candidate;
  }

  const OrtGraph& graph_;
  const std::string& provider_;
  ReadGraph result_;
  std::set<std::string> known_, unreadable_;  ///< values, by name
  std::set<std::string> node_names_;
};

}  // namespace

ReadGraph read_graph(const OrtGraph& graph, const std::string& provider) { return Reader(graph, provider).run(); }

std::vector<std::string> input_names(const OrtNode& node) { return names_of(inputs_of(node)); }
std::vector<std::string> output_names(const OrtNode& node) { return names_of(outputs_of(node)); }

}  // namespace burin::ort
