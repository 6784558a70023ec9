#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "burin/compile.h"
#include "burin/error.h"
#include "graph/interpreter_ops.h"
#include "linear/integer_sums.h"
#include "runtime/flush_denormals.h"
#include "runtime/kernel.h"
#include "support/aligned_memory.h"
#include "support/checked.h"

namespace burin {
namespace {

/// Workers take turns in chunks of neighbouring items. Items differ (the last block of rows is shorter, the first rows
/// of a causal mask are cheaper), mostly along the outermost axis, so that one chunk for each worker would be uneven.
/// Where they are alike, it is one all the same: an item brings what the next one reads.
constexpr std::int64_t kChunksPerWorker = 4;

struct Range {
  std::int64_t begin = 0, end = 0;
};

bool same(const TensorDesc& a, const TensorDesc& b) { return a.shape == b.shape && a.strides == b.strides; }

}  // namespace

using runtime::Kernel;

struct Invocation::State {
  std::shared_ptr<const Kernel> kernel;
  int workers = 1;
  bool bound = false;
  std::vector<TensorDesc> bound_inputs;       ///< what it is bound to
  std::map<std::string, std::int64_t> bound_symbols;
  bool interprets = false;                    ///< what no variant computes for the shapes that are bound
  const Kernel::Variant* chosen = nullptr;    ///< for the shapes that are bound
  const Kernel::Variant* variant = nullptr;   ///< that runs: the chosen one, or its `unaligned` where pointers are not aligned
  std::vector<std::int64_t> registers;        ///< of the tape: the parameter block
  std::vector<std::int64_t> binding_registers;
  std::vector<Dims> output_shapes;
  std::vector<bool> input_is_empty, output_is_empty;
  std::vector<void*> pointers;
  AlignedMemory scratch;
  std::size_t scratch_capacity = 0;
  std::span<std::byte> lent_scratch;  ///< the caller's; if any, instead of `scratch`
  std::size_t call_bytes = 0;     ///< of the scratch that the workers share: it comes first
  std::size_t worker_stride = 0;  ///< bytes between the scratches of two workers
  std::map<const Kernel::Phase*, runtime::BoundItemSteps> steps;  ///< of phases with products for an executor

  void bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols);
  void size_outputs();
  void size_scratch();
  void check_scratch() const;
  std::size_t need() const { return call_bytes + worker_stride * static_cast<std::size_t>(workers); }
  void set_pointers(std::span<const void* const> inputs, std::span<void* const> outputs);
  template <typename RunPhase>
  void run_rounds(std::size_t level, Range units, const RunPhase& run_phase);
  void run_range(const Kernel::Phase& phase, Range items, int worker, int active);
  Tensor gathered(std::size_t input) const;
  void interpret() const;
};

void Invocation::State::bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols) {
  if (bound && std::equal(inputs.begin(), inputs.end(), bound_inputs.begin(), bound_inputs.end(), same) && symbols == bound_symbols)
    return size_scratch();  // it may have to be its own again
  bound = false;
  kernel->binding.bind(inputs, symbols, binding_registers);
  std::copy_n(binding_registers.begin(), kernel->binding.symbol_count(), registers.begin());
  registers[kernel->binding.symbol_count()] = workers;
  kernel->tape.evaluate(registers);
  interprets = std::ranges::any_of(kernel->integer_sums, [&](Tape::Slot length) { return registers[length] > linear::kMostSummed; }) ||
               (kernel->skips_outputs && registers[*kernel->skips_outputs] != 0);
  chosen = &kernel->variants[static_cast<std::size_t>(registers[kernel->choice_slot])];
  for (std::size_t i = 0; i < inputs.size(); ++i)
    input_is_empty[i] = std::find(inputs[i].shape.begin(), inputs[i].shape.end(), 0) != inputs[i].shape.end();
  size_outputs();
  size_scratch();
  for (auto& [phase, bound_steps] : steps)
    if (registers[phase->items] > 0) bound_steps.bind(std::span(registers).first(kernel->binding.symbol_count()));
  bound_inputs.assign(inputs.begin(), inputs.end());
  bound_symbols = symbols;
  bound = true;
}

void Invocation::State::size_outputs() {
  for (std::size_t i = 0; i < kernel->outputs.size(); ++i) {
    bool empty = false;
    for (std::size_t d = 0; d < kernel->outputs[i].dimensions.size(); ++d) {
      const std::int64_t n = registers[kernel->outputs[i].dimensions[d]];
      output_shapes[i][d] = n;
      empty |= n == 0;
    }
    output_is_empty[i] = empty;
  }
}

void Invocation::State::size_scratch() {
  call_bytes = aligned_size(static_cast<std::size_t>(registers[chosen->call_bytes_slot]));
  worker_stride = aligned_size(static_cast<std::size_t>(registers[chosen->worker_bytes_slot]));
  const std::int64_t all_workers =
      checked_mul(static_cast<std::int64_t>(worker_stride), static_cast<std::int64_t>(workers), kernel->name);
  static_cast<void>(checked_add(all_workers, static_cast<std::int64_t>(call_bytes), kernel->name));
  if (need() <= scratch_capacity || !lent_scratch.empty()) return;
  scratch.reset();
  scratch_capacity = 0;
  scratch = allocate_aligned(need());
  if (!scratch) throw Error(fmt::format("{}: {} bytes of scratch cannot be allocated", kernel->name, need()));
  scratch_capacity = need();
}

void Invocation::State::check_scratch() const {
  const std::size_t given = lent_scratch.empty() ? scratch_capacity : lent_scratch.size();
  if (given < need()) throw Error(fmt::format("{}: expected {} bytes of scratch, given {}", kernel->name, need(), given));
}

void Invocation::State::set_pointers(std::span<const void* const> inputs, std::span<void* const> outputs) {
  if (!bound) throw Error(fmt::format("{}: run() before bind()", kernel->name));
  if (inputs.size() != kernel->binding.input_count() || outputs.size() != kernel->outputs.size())
    throw Error(fmt::format("{}: expected {} inputs and {} outputs, given {} and {}", kernel->name, kernel->binding.input_count(),
                            kernel->outputs.size(), inputs.size(), outputs.size()));
  check_scratch();
  std::size_t n = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr && !input_is_empty[i]) throw Error(fmt::format("tensor '{}': null pointer", kernel->binding.input_name(i)));
    pointers[n++] = const_cast<void*>(inputs[i]);  // the code only reads them
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] == nullptr && !output_is_empty[i]) throw Error(fmt::format("tensor '{}': null pointer", kernel->outputs[i].name));
    pointers[n++] = outputs[i];
  }
  const auto is_aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % runtime::kOutputAlignment == 0; };
  variant = chosen->unaligned && !std::all_of(outputs.begin(), outputs.end(), is_aligned) ? &kernel->variants[*chosen->unaligned] : chosen;
  for (const Tensor& c : variant->constants) pointers[n++] = const_cast<std::byte*>(c.data());
}

/// The phases of this level on their units, then the rounds inside.
template <typename RunPhase>
void Invocation::State::run_rounds(std::size_t level, Range units, const RunPhase& run_phase) {
  if (units.begin >= units.end) return;
  for (const Kernel::Phase& phase : variant->phases) {
    const std::int64_t items = registers[phase.items];
    if (phase.level == level && items > 0) run_phase(phase, Range{units.begin * items, units.end * items});
  }
  if (level == variant->rounds.size()) return;
  const std::int64_t around = level == 0 ? 1 : registers[variant->rounds[level - 1].units];
  const std::int64_t inside = registers[variant->rounds[level].units] / around, size = registers[variant->rounds[level].size];
  const std::int64_t end = units.end * inside;
  for (std::int64_t u = units.begin * inside; u < end; u += size) run_rounds(level + 1, {u, std::min(u + size, end)}, run_phase);
}

void Invocation::State::run_range(const Kernel::Phase& phase, Range items, int worker, int active) {
  const std::int64_t work = items.end - items.begin;
  std::byte* const memory = lent_scratch.empty() ? scratch.get() : lent_scratch.data();
  codegen::KernelArguments arguments{};
  arguments.parameters = registers.data();
  arguments.pointers = pointers.data();
  arguments.call_scratch = memory;
  arguments.worker_scratch = memory + call_bytes + static_cast<std::size_t>(worker) * worker_stride;
  const runtime::FlushDenormals flush(kernel->flush_denormals);
  const std::int64_t chunks = active == 1 ? 1 : std::min<std::int64_t>(work, std::int64_t{active} * (registers[kernel->even_slot] != 0 ? 1 : kChunksPerWorker));
  // Where chunk c begins; the products stay far below overflow: work is bounded by the tensors' sizes.
  const auto first = [&](std::int64_t c) { return items.begin + work / chunks * c + std::min(c, work % chunks); };
  for (std::int64_t c = worker; c < chunks; c += active) {
    arguments.begin = first(c);
    arguments.end = first(c + 1);
    if (phase.steps != nullptr)
      steps.at(&phase).run(arguments, worker);
    else
      phase.code->function()(&arguments);
  }
}

/// The input as a dense tensor.
Tensor Invocation::State::gathered(std::size_t input) const {
  const TensorDesc& desc = bound_inputs[input];
  const Precision precision = kernel->body->value(kernel->body->inputs[input]).precision;
  Tensor out = Tensor::zeros(precision, desc.shape);
  if (out.bytes() == 0) return out;
  const auto* from = static_cast<const std::byte*>(pointers[input]);
  if (desc.strides.empty()) {
    std::memcpy(out.mutable_data(), from, out.bytes());
    return out;
  }
  const auto bytes = static_cast<std::int64_t>(size_of(precision));
  std::byte* to = out.mutable_data();
  for (const std::int64_t offset : interpreter::all_offsets(desc.shape, desc.strides)) {
    std::memcpy(to, from + offset * bytes, static_cast<std::size_t>(bytes));
    to += bytes;
  }
  return out;
}

void Invocation::State::interpret() const {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < bound_inputs.size(); ++i) inputs.push_back(gathered(i));
  const std::vector<Tensor> results = burin::interpret(*kernel->body, inputs, bound_symbols);
  for (std::size_t i = 0; i < results.size(); ++i)
    if (results[i].bytes() > 0) std::memcpy(pointers[inputs.size() + i], results[i].data(), results[i].bytes());
}

Invocation::Invocation(std::shared_ptr<const Kernel> kernel, int workers) : state_(std::make_unique<State>()) {
  State& s = *state_;
  if (workers < 1) throw Error(fmt::format("{}: expected at least 1 worker, given {}", kernel->name, workers));
  s.workers = workers;
  s.registers.resize(kernel->tape.register_count());
  s.binding_registers.resize(kernel->binding.register_count());
  for (const Kernel::Output& p : kernel->outputs) s.output_shapes.emplace_back(p.dimensions.size());
  s.input_is_empty.resize(kernel->binding.input_count());
  s.output_is_empty.resize(kernel->outputs.size());
  std::size_t constants = 0;
  for (const Kernel::Variant& v : kernel->variants) {
    constants = std::max(constants, v.constants.size());
    for (const Kernel::Phase& phase : v.phases)
      if (phase.steps != nullptr) s.steps.try_emplace(&phase, *phase.steps, workers);
  }
  s.pointers.resize(kernel->binding.input_count() + kernel->outputs.size() + constants);
  s.kernel = std::move(kernel);
}

Invocation::~Invocation() = default;
Invocation::Invocation(Invocation&&) noexcept = default;
Invocation& Invocation::operator=(Invocation&&) noexcept = default;

void Invocation::rebind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols) {
  state_->bind(inputs, symbols);
}

const std::vector<Dims>& Invocation::output_shapes() const { return state_->output_shapes; }
std::size_t Invocation::scratch_bytes() const { return state_->need(); }

void Invocation::set_scratch(std::span<std::byte> memory) {
  if (reinterpret_cast<std::uintptr_t>(memory.data()) % kMemoryAlignment != 0)
    throw Error(fmt::format("{}: scratch that is not aligned to {} bytes", state_->kernel->name, kMemoryAlignment));
  state_->lent_scratch = memory;
}

void Invocation::run(std::span<const void* const> inputs, std::span<void* const> outputs, Executor& executor) {
  State& s = *state_;
  s.set_pointers(inputs, outputs);
  if (s.interprets) return s.interpret();
  s.run_rounds(0, {0, 1}, [&](const Kernel::Phase& phase, Range items) {
    const int active = static_cast<int>(std::min<std::int64_t>({s.workers, executor.concurrency(), items.end - items.begin}));
    if (active <= 1) return s.run_range(phase, items, 0, 1);
    struct Call {
      State* state;
      const Kernel::Phase* phase;
      Range items;
      int active;
    } call{&s, &phase, items, active};
    executor.run(active, {[](void* context, int worker) {
                            const auto& c = *static_cast<const Call*>(context);
                            c.state->run_range(*c.phase, c.items, worker, c.active);
                          },
                          &call});
  });
}

void Invocation::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  State& s = *state_;
  s.set_pointers(inputs, outputs);
  if (s.interprets) return s.interpret();
  s.run_rounds(0, {0, 1}, [&](const Kernel::Phase& phase, Range items) { s.run_range(phase, items, 0, 1); });
}

Invocation CompiledSubgraph::bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols,
                                  int workers) const {
  Invocation bound = invocation(workers);
  bound.rebind(inputs, symbols);
  return bound;
}

Invocation CompiledSubgraph::invocation(int workers) const { return Invocation(kernel_, workers); }

}  // namespace burin
