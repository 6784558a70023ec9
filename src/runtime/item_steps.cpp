#include "runtime/item_steps.h"

#include <algorithm>

#include "burin/error.h"

namespace burin::runtime {
namespace {

constexpr std::int64_t kElementBytes = sizeof(float);

std::vector<std::string> with_work_item(std::vector<std::string> symbols) {
  symbols.emplace_back(linear::kWorkItem);
  return symbols;
}

/// As the code finds it: inputs, then outputs, then constants.
std::optional<std::size_t> pointer_of(const linear::LinearIR& ir, const linear::Memory& m) {
  switch (m.kind) {
    case linear::Memory::Kind::input: return m.index;
    case linear::Memory::Kind::output: return ir.inputs.size() + m.index;
    case linear::Memory::Kind::constant: return ir.inputs.size() + ir.outputs.size() + m.index;
    case linear::Memory::Kind::worker: return std::nullopt;
    case linear::Memory::Kind::call: break;
  }
  throw Error("an operand of a BRGEMM executor in the scratch of a call");
}

float* address_of(const ProductStep::Matrix& m, std::span<const std::int64_t> registers,
                  const codegen::KernelArguments& arguments) {
  std::byte* base = m.pointer ? static_cast<std::byte*>(arguments.pointers[*m.pointer])
                              : arguments.worker_scratch;
  return reinterpret_cast<float*>(base + registers[m.start]);
}

}  // namespace

ItemSteps::ItemSteps(const linear::LinearIR& ir, const linear::SplitPhase& steps,
                     std::span<std::unique_ptr<codegen::MachineCode>> codes,
                     BrgemmExecutor& executor)
    : variables_(steps.variables), tape_(with_work_item(ir.symbols)), executor_(executor) {
  for (const linear::SplitPhase::Step& from : steps.steps) {
    Step& step = steps_.emplace_back();
    if (from.code) step.code = std::move(codes[*from.code]);
    if (!from.product) continue;
    const linear::BrgemmNest& p = *from.product;
    step.product = {matrix(ir, p.a), matrix(ir, p.b),   matrix(ir, p.c),
                    extent(p.rows),  extent(p.columns), extent(p.depth)};
  }
}

Tape::Slot ItemSteps::add(const Expr& e) { return tape_.add(e.substitute(variables_)); }

ProductStep::Matrix ItemSteps::matrix(const linear::LinearIR& ir, const linear::MatrixInMemory& m) {
  const linear::Memory& memory = ir.memory[m.memory];
  return {pointer_of(ir, memory), add(memory.offset.value_or(0) + m.start * kElementBytes),
          add(m.leading)};
}

ProductStep::Extent ItemSteps::extent(const linear::BrgemmExtent& e) {
  ProductStep::Extent out{add(e.here), {}};
  for (const Expr& each : e.all) out.all.push_back(add(each));
  return out;
}

BoundItemSteps::BoundItemSteps(const ItemSteps& steps, int workers)
    : steps_(steps),
      kernels_(steps.steps().size()),
      registers_(static_cast<std::size_t>(workers),
                 std::vector<std::int64_t>(steps.tape().register_count())) {}

void BoundItemSteps::bind(std::span<const std::int64_t> symbols) {
  for (std::vector<std::int64_t>& registers : registers_)
    std::copy(symbols.begin(), symbols.end(), registers.begin());
  std::vector<std::int64_t>& registers = registers_.front();
  registers[symbols.size()] = 0;
  steps_.tape().evaluate(registers);
  for (std::size_t i = 0; i < kernels_.size(); ++i) {
    kernels_[i].clear();
    if (const auto& product = steps_.steps()[i].product)
      find_kernels(*product, registers, kernels_[i]);
  }
}

void BoundItemSteps::find_kernels(const ProductStep& p, std::span<const std::int64_t> registers,
                                  std::vector<Sized>& kernels) {
  BrgemmShape shape;
  shape.leading_a = registers[p.a.leading];
  shape.leading_b = registers[p.b.leading];
  shape.leading_c = registers[p.c.leading];
  for (const Tape::Slot rows : p.rows.all)
    for (const Tape::Slot columns : p.columns.all)
      for (const Tape::Slot depth : p.depth.all) {
        shape.rows = registers[rows], shape.columns = registers[columns],
        shape.depth = registers[depth];
        if (shape.rows > 0 && shape.columns > 0 && shape.depth > 0)
          kernels.push_back({shape, steps_.executor().kernel(shape)});
      }
}

void BoundItemSteps::run(codegen::KernelArguments arguments, int worker) {
  std::vector<std::int64_t>& registers = registers_[static_cast<std::size_t>(worker)];
  std::int64_t& item = registers[steps_.tape().symbols().size() - 1];
  const std::int64_t end = arguments.end;
  for (item = arguments.begin; item < end; ++item) {
    steps_.tape().evaluate(registers);
    arguments.begin = item;
    arguments.end = item + 1;
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      const ItemSteps::Step& step = steps_.steps()[i];
      if (step.product) run_product(*step.product, kernels_[i], registers, arguments);
      if (step.code) step.code->function()(&arguments);
    }
  }
}

void BoundItemSteps::run_product(const ProductStep& p, const std::vector<Sized>& kernels,
                                 std::span<const std::int64_t> registers,
                                 const codegen::KernelArguments& arguments) {
  const std::int64_t rows = registers[p.rows.here], columns = registers[p.columns.here],
                     depth = registers[p.depth.here];
  if (rows <= 0 || columns <= 0) return;
  float* c = address_of(p.c, registers, arguments);
  if (depth <= 0) {  // a sum of nothing
    for (std::int64_t r = 0; r < rows; ++r)
      std::fill_n(c + r * registers[p.c.leading], columns, 0.0F);
    return;
  }
  const auto fits = [&](const Sized& s) {
    return s.shape.rows == rows && s.shape.columns == columns && s.shape.depth == depth;
  };
  const auto found = std::find_if(kernels.begin(), kernels.end(), fits);
  if (found == kernels.end()) throw Error("a work item of a size that was not bound");
  found->kernel->run(address_of(p.a, registers, arguments), address_of(p.b, registers, arguments),
                     c);
}

}  // namespace burin::runtime
