#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "burin/compile.h"
#include "burin/error.h"
#include "runtime/kernel.h"
#include "support/checked.h"

namespace burin {
namespace {

constexpr std::size_t kScratchAlignment = 64;
/// Workers take turns in chunks of neighbouring items. Items differ (the last block of rows is shorter, the first rows
/// of a causal mask are cheaper), mostly along the outermost axis, so that one chunk for each worker would be uneven.
constexpr std::int64_t kChunksPerWorker = 4;

struct AlignedFree {
  void operator()(std::byte* p) const { std::free(p); }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedFree>;

AlignedBytes allocate_aligned(std::size_t bytes) {
  void* p = std::aligned_alloc(kScratchAlignment, (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment);
  if (p == nullptr) throw Error(fmt::format("scratch of {} bytes cannot be allocated", bytes));
  return AlignedBytes(static_cast<std::byte*>(p));
}

}  // namespace

using runtime::Kernel;

struct Invocation::State {
  std::shared_ptr<const Kernel> kernel;
  int workers = 1;
  bool bound = false;
  std::vector<std::int64_t> registers;        ///< of the tape: the parameter block
  std::vector<std::int64_t> binding_registers;
  std::vector<Dims> output_shapes;
  std::vector<bool> input_is_empty, output_is_empty;
  std::vector<void*> pointers;
  AlignedBytes scratch;
  std::size_t scratch_capacity = 0;
  std::span<std::byte> lent_scratch;  ///< the caller's; if any, instead of `scratch`
  std::size_t worker_stride = 0;  ///< bytes between the scratches of two workers
  std::map<const Kernel::Phase*, runtime::BoundItemSteps> steps;  ///< of phases with products for an executor

  void bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols);
  void size_outputs();
  void size_scratch();
  void check_scratch() const;
  void set_pointers(std::span<const void* const> inputs, std::span<void* const> outputs);
  void run_range(const Kernel::Phase& phase, int worker, int active);
};

void Invocation::State::bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols) {
  bound = false;
  kernel->binding.bind(inputs, symbols, binding_registers);
  std::copy_n(binding_registers.begin(), kernel->binding.symbol_count(), registers.begin());
  kernel->tape.evaluate(registers);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    input_is_empty[i] = std::find(inputs[i].shape.begin(), inputs[i].shape.end(), 0) != inputs[i].shape.end();
  size_outputs();
  size_scratch();
  for (auto& [phase, bound_steps] : steps)
    if (registers[phase->work] > 0) bound_steps.bind(std::span(registers).first(kernel->binding.symbol_count()));
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
  const auto bytes = static_cast<std::size_t>(registers[kernel->worker_bytes_slot]);
  worker_stride = (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
  const auto need = static_cast<std::size_t>(
      checked_mul(static_cast<std::int64_t>(worker_stride), static_cast<std::int64_t>(workers), kernel->name));
  if (need <= scratch_capacity || !lent_scratch.empty()) return;
  scratch.reset();
  scratch_capacity = 0;
  scratch = allocate_aligned(need);
  scratch_capacity = need;
}

void Invocation::State::check_scratch() const {
  const std::size_t need = worker_stride * static_cast<std::size_t>(workers);
  const std::size_t given = lent_scratch.empty() ? scratch_capacity : lent_scratch.size();
  if (given < need) throw Error(fmt::format("{}: expected {} bytes of scratch, given {}", kernel->name, need, given));
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
}

void Invocation::State::run_range(const Kernel::Phase& phase, int worker, int active) {
  const std::int64_t work = registers[phase.work];
  codegen::KernelArguments arguments{};
  arguments.parameters = registers.data();
  arguments.pointers = pointers.data();
  arguments.worker_scratch = (lent_scratch.empty() ? scratch.get() : lent_scratch.data()) + static_cast<std::size_t>(worker) * worker_stride;
  const std::int64_t chunks = active == 1 ? 1 : std::min<std::int64_t>(work, std::int64_t{active} * kChunksPerWorker);
  // Where chunk c begins; the products stay far below overflow: work is bounded by the tensors' sizes.
  const auto first = [&](std::int64_t c) { return work / chunks * c + std::min(c, work % chunks); };
  for (std::int64_t c = worker; c < chunks; c += active) {
    arguments.begin = first(c);
    arguments.end = first(c + 1);
    if (phase.steps != nullptr)
      steps.at(&phase).run(arguments, worker);
    else
      phase.code->function()(&arguments);
  }
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
  s.pointers.resize(kernel->binding.input_count() + kernel->outputs.size());
  for (const Tensor& c : kernel->constants) s.pointers.push_back(const_cast<std::byte*>(c.data()));
  for (const Kernel::Phase& phase : kernel->phases)
    if (phase.steps != nullptr) s.steps.try_emplace(&phase, *phase.steps, workers);
  s.kernel = std::move(kernel);
}

Invocation::~Invocation() = default;
Invocation::Invocation(Invocation&&) noexcept = default;
Invocation& Invocation::operator=(Invocation&&) noexcept = default;

void Invocation::rebind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols) {
  state_->bind(inputs, symbols);
}

const std::vector<Dims>& Invocation::output_shapes() const { return state_->output_shapes; }
std::size_t Invocation::scratch_bytes() const { return state_->worker_stride * static_cast<std::size_t>(state_->workers); }

void Invocation::set_scratch(std::span<std::byte> memory) {
  if (reinterpret_cast<std::uintptr_t>(memory.data()) % kScratchAlignment != 0)
    throw Error(fmt::format("{}: scratch that is not aligned to {} bytes", state_->kernel->name, kScratchAlignment));
  state_->lent_scratch = memory;
}

void Invocation::run(std::span<const void* const> inputs, std::span<void* const> outputs, Executor& executor) {
  State& s = *state_;
  s.set_pointers(inputs, outputs);
  for (const Kernel::Phase& phase : s.kernel->phases) {
    const std::int64_t work = s.registers[phase.work];
    if (work <= 0) continue;
    const int active = static_cast<int>(std::min<std::int64_t>({s.workers, executor.concurrency(), work}));
    if (active <= 1) {
      s.run_range(phase, 0, 1);
      continue;
    }
    struct Call {
      State* state;
      const Kernel::Phase* phase;
      int active;
    } call{&s, &phase, active};
    executor.run(active, {[](void* context, int worker) {
                            const auto& c = *static_cast<const Call*>(context);
                            c.state->run_range(*c.phase, worker, c.active);
                          },
                          &call});
  }
}

void Invocation::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  State& s = *state_;
  s.set_pointers(inputs, outputs);
  for (const Kernel::Phase& phase : s.kernel->phases)
    if (s.registers[phase.work] > 0) s.run_range(phase, 0, 1);
}

Invocation CompiledSubgraph::bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols,
                                  int workers) const {
  Invocation bound = invocation(workers);
  bound.rebind(inputs, symbols);
  return bound;
}

Invocation CompiledSubgraph::invocation(int workers) const { return Invocation(kernel_, workers); }

}  // namespace burin
