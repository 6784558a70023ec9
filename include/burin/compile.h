#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "burin/executor.h"
#include "burin/export.h"
#include "burin/graph.h"

namespace burin {

/// What a caller may ask of the compiler. The defaults are what is fastest.
struct CompileOptions {
  /// The instruction set: "avx2", "avx512"; empty: the best of this machine (capped by BURIN_ISA).
  std::string isa;
  /// How attention's softmax is computed: "score_rows", "online"; empty: the schedule decides.
  std::string softmax_form;
  /// Keys and values are copied side by side where at least so many blocks of queries read them; 0: never. Unset: the
  /// schedule decides.
  std::optional<std::int64_t> pack_reads;
  /// The largest number of queries of an attention that counts as few: keys or parts of a head lie in the vector lanes
  /// then, not queries. 0: none. Unset: the schedule decides. Where `softmax_form` is set, none is few.
  std::optional<std::int64_t> few_queries;
  /// One size, in bytes, for the second-level cache and the last cache that the schedule reckons with. Unset: this
  /// machine's.
  std::optional<std::int64_t> cache_bytes;
  /// Who computes matrix products: "burin" (or empty): code of Burin's own; "onednn": oneDNN's BRGEMM ukernel, which
  /// generates code for each new shape when it is bound (see brgemm_statistics). Slower as a rule, and there to compare
  /// with. compile() throws where this build has no such executor: the installed library has none.
  std::string brgemm;
  /// Passes to leave out, by name, and the number of passes to run at all (to bisect); -1: all.
  std::set<std::string> disabled_passes;
  int pass_limit = -1;
  /// Check the intermediate forms after each pass, and the register assignment.
  bool verify = false;
  /// Called with "<subgraph>.<stage>.<NN>.<pass>" and the text of each intermediate form. Unset: the folder that the
  /// environment variable BURIN_DUMP names, if any, receives them as files.
  std::function<void(std::string_view stage, const std::string& text)> dump;
};

/// A tensor at call time. Strides in elements; empty: dense. The innermost stride is 1.
struct TensorDesc {
  Dims shape;
  Dims strides;
};

namespace runtime {
struct Kernel;
}

class Invocation;

/// A Subgraph as machine code that serves every shape. Immutable; shared between threads.
class BURIN_EXPORT CompiledSubgraph {
 public:
  explicit CompiledSubgraph(std::shared_ptr<const runtime::Kernel> kernel) : kernel_(std::move(kernel)) {}

  /// Fixes the shapes of one call: checks them against the symbols, evaluates the parameter tape. `symbols`: values of
  /// explicit_symbols(). `workers`: the largest number of threads that run() will use.
  /// Throws burin::Error that names the tensor, the dimension, the expected and the given value.
  Invocation bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols = {},
                  int workers = 1) const;

  /// An Invocation that is not bound yet.
  Invocation invocation(int workers = 1) const;

  /// Symbols that the input shapes do not determine.
  const std::vector<std::string>& explicit_symbols() const;
  /// The schedule's decisions, one (name, value) each.
  const std::vector<std::pair<std::string, std::string>>& schedule() const;
  std::size_t code_bytes() const;
  /// Scratch of one worker, in bytes, as an expression over the symbols.
  Expr scratch_bytes() const;
  /// Scratch that the workers of a call share, besides; over the symbols and `call.workers`, their number.
  Expr shared_scratch_bytes() const;

 private:
  std::shared_ptr<const runtime::Kernel> kernel_;
};

/// One call's shapes, parameters and scratch. Not thread-safe: one Invocation for each concurrent call.
class BURIN_EXPORT Invocation {
 public:
  Invocation(std::shared_ptr<const runtime::Kernel> kernel, int workers);
  ~Invocation();
  Invocation(Invocation&&) noexcept;
  Invocation& operator=(Invocation&&) noexcept;

  /// As CompiledSubgraph::bind, in place; allocates only where the scratch has to grow. After an Error the invocation
  /// must be bound again.
  void rebind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols = {});

  /// Shapes of the outputs (dense tensors).
  const std::vector<Dims>& output_shapes() const;
  /// Bytes of scratch that all workers together need.
  std::size_t scratch_bytes() const;
  /// Scratch of the caller's, from now on, instead of memory that rebind() allocates: at least scratch_bytes() large at
  /// each run() (else an Error) and aligned to 64 bytes. An empty span: the Invocation's own again, from the next
  /// rebind() on.
  void set_scratch(std::span<std::byte> memory);

  /// Computes. Pointers in the order of the Subgraph's inputs and outputs; each aligned to its element (large outputs are
  /// written faster if aligned to 64 bytes); no output overlaps an input or another output: inputs may be read again. A
  /// null pointer is an Error unless the tensor is empty. Results are the same bits for any number of workers.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs, Executor& executor);
  /// In the calling thread.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Compiles one Subgraph body, once and for all shapes. Throws burin::Error, with the reason, where the graph is not
/// compilable or the machine cannot run the code.
BURIN_EXPORT CompiledSubgraph compile(const Graph& body, const CompileOptions& options = {});

/// The kernels of a BRGEMM executor in this process, all subgraphs together. They are kept in a cache of limited size; the
/// one that was not used for longest goes first.
struct BrgemmStatistics {
  std::uint64_t hits = 0;     ///< found in the cache
  std::uint64_t misses = 0;   ///< not found
  std::uint64_t created = 0;  ///< kernels made: the misses that did not end in an Error
  std::uint64_t evicted = 0;  ///< dropped from the cache for others
  std::size_t held = 0;       ///< in the cache now
  std::size_t capacity = 0;   ///< held at most
};
/// `executor`: as in CompileOptions::brgemm. Throws burin::Error where this build has none of that name.
BURIN_EXPORT BrgemmStatistics brgemm_statistics(const std::string& executor);

/// Code-generation events and bytes of machine code in this process so far: they do not move after compile().
struct CodegenStatistics {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
};
BURIN_EXPORT CodegenStatistics codegen_statistics();

}  // namespace burin
