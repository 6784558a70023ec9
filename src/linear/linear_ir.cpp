#include "linear/linear_ir.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::linear {

// ---------------------------------------------------------------------------------------------------------
// The operations.

namespace {

constexpr auto kOps = std::to_array<OpInfo>({
#define LINEAR_OP(name, text, kind, inputs) {Op::name, #text, OpClass::kind, inputs},
#include "linear/linear_ops.def"
});

}  // namespace

const OpInfo& info(Op op) {
  const auto index = static_cast<std::size_t>(op);
  if (index >= kOps.size()) throw Error(fmt::format("there is no Linear IR operation {}", index));
  return kOps[index];
}

std::optional<Op> op_from_text(std::string_view text) {
  const auto found = std::ranges::find(kOps, text, &OpInfo::text);
  if (found == kOps.end()) return std::nullopt;
  return found->op;
}

// ---------------------------------------------------------------------------------------------------------
// The tree.

Item::Item(Loop l) : loop(std::make_unique<Loop>(std::move(l))) {}

Item Item::clone() const {
  Item copy(expression);
  if (loop) copy.loop = std::make_unique<Loop>(loop->clone());
  return copy;
}

Block clone(const Block& block) {
  Block copy;
  copy.reserve(block.size());
  for (const Item& item : block) copy.push_back(item.clone());
  return copy;
}

Loop Loop::clone() const {
  Loop copy;
  copy.var = var;
  copy.begin = begin;
  copy.end = end;
  copy.parallel = parallel;
  copy.lanes = lanes;
  copy.round = round;
  copy.brgemm = brgemm;
  copy.condition = condition;
  for (const Version& version : versions)
    copy.versions.push_back({version.step, version.partial, linear::clone(version.body)});
  return copy;
}

std::int64_t Loop::fewest(std::size_t version) const {
  const Version& v = versions[version];
  if (!v.partial) return v.step;
  return version + 1 < versions.size() ? versions[version + 1].step + 1 : 1;
}

namespace {

/// One walk for const and mutable trees.
template <class B, class F>
void walk_expressions(B& block, const F& f) {
  for (auto& item : block) {
    if (!item.is_loop()) {
      f(item.expression);
      continue;
    }
    for (auto& version : item.loop->versions) {
      // A unique_ptr does not hand its constness on.
      if constexpr (std::is_const_v<B>)
        walk_expressions(std::as_const(version.body), f);
      else
        walk_expressions(version.body, f);
    }
  }
}

template <class B, class F>
void walk_loops(B& block, const F& f) {
  for (auto& item : block) {
    if (!item.is_loop()) continue;
    f(*item.loop);
    for (auto& version : item.loop->versions) {
      if constexpr (std::is_const_v<B>)
        walk_loops(std::as_const(version.body), f);
      else
        walk_loops(version.body, f);
    }
  }
}

}  // namespace

void for_each_expression(Block& block, const std::function<void(Expression&)>& f) {
  walk_expressions(block, f);
}
void for_each_expression(const Block& block, const std::function<void(const Expression&)>& f) {
  walk_expressions(block, f);
}
void for_each_loop(Block& block, const std::function<void(Loop&)>& f) { walk_loops(block, f); }
void for_each_loop(const Block& block, const std::function<void(const Loop&)>& f) {
  walk_loops(block, f);
}

// ---------------------------------------------------------------------------------------------------------
// Names.

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

/// `hint` with other characters made '_'; if it is taken, its trailing number is counted up: max, max1, max2.
/// `free`: for each name without its number the first number that is not known to be taken.
template <class Taken>
std::string unique_name(std::string_view hint, std::string_view fallback, std::map<std::string, std::size_t>& free,
                        const Taken& taken) {
  std::string name(hint);
  for (char& c : name)
    if (!is_name_character(c)) c = '_';
  if (name.empty()) name = fallback;
  if (!taken(name)) return name;
  std::size_t stem = name.size();
  while (stem > 0 && name[stem - 1] >= '0' && name[stem - 1] <= '9') --stem;
  name.resize(stem);
  for (std::size_t& number = free.try_emplace(name, 1).first->second;; ++number)
    if (std::string candidate = name + std::to_string(number); !taken(candidate)) return candidate;
}

bool is_taken(const LinearIR& ir, const std::string& name) {
  return std::ranges::find(ir.values, name) != ir.values.end() ||
         std::ranges::find(ir.memory, name, &Memory::name) != ir.memory.end();
}

}  // namespace

ValueId LinearIR::new_value(std::string_view hint) {
  values.push_back(unique_name(hint, "v", free_numbers_, [this](const std::string& name) { return is_taken(*this, name); }));
  return static_cast<ValueId>(values.size() - 1);
}

MemoryId LinearIR::new_memory(Memory m) {
  m.name = unique_name(m.name, "m", free_numbers_, [this](const std::string& name) { return is_taken(*this, name); });
  memory.push_back(std::move(m));
  return static_cast<MemoryId>(memory.size() - 1);
}

Expr LinearIR::define(std::string_view hint, const Expr& e) {
  if (e.is_constant() || e.as_symbol()) return e;
  const auto same = std::ranges::find(definitions, e, [](const auto& d) { return d.second; });
  if (same != definitions.end()) return Expr::symbol(same->first);
  std::map<std::string, std::size_t> free;
  std::string name = unique_name(hint, ".", free, [&](const std::string& n) {
    return std::ranges::find(symbols, n) != symbols.end() ||
           std::ranges::any_of(definitions, [&](const auto& d) { return d.first == n; });
  });
  definitions.emplace_back(name, e);
  return Expr::symbol(name);
}

void LinearIR::add_symbol(std::string_view name) {
  const auto at = std::ranges::lower_bound(symbols, name);
  if (at == symbols.end() || *at != name) symbols.emplace(at, name);
}

Expr LinearIR::resolve(Expr e) const {
  for (std::size_t i = definitions.size(); i-- > 0;)
    if (e.uses(definitions[i].first)) e = e.substitute({definitions[i]});
  return e;
}

std::string fresh_variable(const LinearIR& ir, std::string_view hint) {
  std::set<std::string> taken(ir.symbols.begin(), ir.symbols.end());
  for_each_loop(ir.phases, [&](const Loop& loop) {
    taken.insert(loop.var);
    taken.merge(loop.begin.symbols());
    taken.merge(loop.end.symbols());
  });
  for_each_expression(ir.phases, [&](const Expression& e) {
    taken.insert(e.over.begin(), e.over.end());
    taken.merge(e.index.symbols());
  });
  std::string start(hint);
  if (!start.starts_with('_')) start.insert(0, "_");
  std::map<std::string, std::size_t> free;
  return unique_name(start, "_", free, [&](const std::string& name) { return taken.contains(name); });
}

}  // namespace burin::linear
