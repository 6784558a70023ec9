#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codegen/vcode.h"
#include "target/target_info.h"

namespace burin::codegen {

/// What a kernel gets (its only argument, by pointer). The layout is part of the emitted code.
struct KernelArguments {
  const std::int64_t* parameters;  ///< the registers of the parameter tape
  void* const* pointers;           ///< inputs, then outputs, then constants
  std::byte* worker_scratch;       ///< of this worker
  std::byte* call_scratch;         ///< shared by the workers of this call
  std::int64_t begin, end;         ///< range of the phase's flattened parallel domain
};

using KernelFunction = void (*)(const KernelArguments*);

/// Executable memory with one kernel; never writable and executable at once. Immutable, thread-safe.
class MachineCode {
 public:
  virtual ~MachineCode() = default;
  KernelFunction function() const { return function_; }
  std::size_t size() const { return size_; }
  /// For each instruction of the program that was emitted: its offset in the code, ascending.
  const std::vector<std::uint32_t>& offsets() const { return offsets_; }

 protected:
  KernelFunction function_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::uint32_t> offsets_;
};

/// Emits the code for the target (of this machine's architecture); counts one code-generation event.
/// Throws burin::Error where executable memory is denied.
std::unique_ptr<MachineCode> assemble(const Allocation& allocation, const TargetInfo& target,
                                      const std::string& name);

/// The program as it was emitted, a line an instruction: offset in the code, the operation with physical registers, the
/// Linear IR expression where it changes. Fits beside a disassembly:
///
///     ; %7 = exp2 %6
///     0048  zmm3 = fraction zmm1
///     004f  zmm4 = fma zmm4, zmm3, zmm9
std::string annotate(const Allocation& allocation, const MachineCode& code, const TargetInfo& target);

/// Code-generation events and bytes of code emitted so far in this process (they only grow).
struct CodegenCounters {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
};
CodegenCounters codegen_counters();

}  // namespace burin::codegen
