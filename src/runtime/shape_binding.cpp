#include "runtime/shape_binding.h"

#include <fmt/format.h>

#include <algorithm>

#include "burin/error.h"
#include "support/checked.h"

namespace burin::runtime {

ShapeBinding::ShapeBinding(std::string subject, std::vector<std::string> symbols)
    : subject_(std::move(subject)), tape_(std::move(symbols)), defined_(tape_.symbols().size()) {}

Tape::Slot ShapeBinding::define(const std::string& symbol, bool& fresh) {
  const auto& all = tape_.symbols();
  const auto slot = static_cast<std::size_t>(std::find(all.begin(), all.end(), symbol) - all.begin());
  fresh = !defined_[slot];
  defined_[slot] = true;
  return static_cast<Tape::Slot>(slot);
}

void ShapeBinding::add_input(std::string name, Shape shape, const std::vector<Expr>& strides) {
  Input input{std::move(name), {}};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    Dimension dimension{shape[d], tape_.add(shape[d])};
    if (const auto symbol = shape[d].as_symbol()) define(*symbol, dimension.defines);
    if (const auto symbol = strides.empty() ? std::nullopt : strides[d].as_symbol()) {
      bool fresh = false;
      dimension.stride = define(*symbol, fresh);
      dimension.has_stride = true;
    }
    input.dimensions.push_back(std::move(dimension));
  }
  inputs_.push_back(std::move(input));
}

void ShapeBinding::add_fact(const Facts::Check& fact) {
  facts_.push_back({fact, tape_.add(fact.left), tape_.add(fact.right)});
}

std::vector<std::string> ShapeBinding::explicit_symbols() const {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < defined_.size(); ++i)
    if (!defined_[i]) out.push_back(tape_.symbols()[i]);
  return out;
}

void ShapeBinding::bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols,
                        std::span<std::int64_t> registers) const {
  if (inputs.size() != inputs_.size())
    throw Error(fmt::format("{}: expected {} inputs, given {}", subject_, inputs_.size(), inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    set_dimensions(inputs_[i], inputs[i], registers);
    set_strides(inputs_[i], inputs[i], registers);
  }
  set_explicit(symbols, registers);
  tape_.evaluate(registers);
  check_dimensions(inputs, registers);
  check_facts(registers);
}

void ShapeBinding::set_dimensions(const Input& input, const TensorDesc& desc, std::span<std::int64_t> registers) const {
  if (desc.shape.size() != input.dimensions.size())
    throw Error(fmt::format("tensor '{}': expected rank {}, given {}", input.name, input.dimensions.size(), desc.shape.size()));
  for (std::size_t d = 0; d < desc.shape.size(); ++d) {
    if (desc.shape[d] < 0) throw Error(fmt::format("tensor '{}', dimension {}: negative size {}", input.name, d, desc.shape[d]));
    if (input.dimensions[d].defines) registers[input.dimensions[d].slot] = desc.shape[d];
  }
}

void ShapeBinding::set_strides(const Input& input, const TensorDesc& desc, std::span<std::int64_t> registers) {
  const std::size_t rank = desc.shape.size();
  const auto set = [&](std::size_t d, std::int64_t stride) {
    if (input.dimensions[d].has_stride) registers[input.dimensions[d].stride] = stride;
  };
  if (desc.strides.empty()) {
    std::int64_t stride = 1;
    for (std::size_t d = rank; d-- > 0;) {
      set(d, stride);
      stride = checked_mul(stride, desc.shape[d], input.name);
    }
    return;
  }
  if (desc.strides.size() != rank)
    throw Error(fmt::format("tensor '{}': expected {} strides, given {}", input.name, rank, desc.strides.size()));
  for (std::size_t d = 0; d < rank; ++d) set(d, desc.strides[d]);
  if (rank > 0 && desc.strides[rank - 1] != 1 && desc.shape[rank - 1] > 1)
    throw Error(fmt::format("tensor '{}', dimension {}: expected stride 1, given {}", input.name, rank - 1, desc.strides[rank - 1]));
}

void ShapeBinding::set_explicit(const std::map<std::string, std::int64_t>& symbols, std::span<std::int64_t> registers) const {
  for (std::size_t i = 0; i < defined_.size(); ++i) {
    if (defined_[i]) continue;
    const auto it = symbols.find(tape_.symbols()[i]);
    if (it == symbols.end())
      throw Error(fmt::format("{}: symbol '{}' is not determined by the inputs and was not given", subject_, tape_.symbols()[i]));
    registers[i] = it->second;
  }
}

void ShapeBinding::check_dimensions(std::span<const TensorDesc> inputs, std::span<const std::int64_t> registers) const {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::size_t d = 0; d < inputs[i].shape.size(); ++d) {
      const Dimension& dimension = inputs_[i].dimensions[d];
      if (registers[dimension.slot] != inputs[i].shape[d])
        throw Error(fmt::format("tensor '{}', dimension {}: expected {} = {}, given {}", inputs_[i].name, d,
                                dimension.extent.to_string(), registers[dimension.slot], inputs[i].shape[d]));
    }
}

void ShapeBinding::check_facts(std::span<const std::int64_t> registers) const {
  using Relation = Facts::Check::Relation;
  for (const Fact& f : facts_) {
    const std::int64_t left = registers[f.left], right = registers[f.right];
    const bool holds = f.check.relation == Relation::equal     ? left == right
                       : f.check.relation == Relation::divides ? left != 0 && right % left == 0
                                                               : left >= right;
    if (!holds) throw Error(fmt::format("{}: {} does not hold for {} and {}", f.check.subject, f.check.to_string(), left, right));
  }
}

}  // namespace burin::runtime
