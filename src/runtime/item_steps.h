#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/machine_code.h"
#include "linear/brgemm_nest.h"
#include "runtime/brgemm_executor.h"
#include "support/tape.h"

namespace burin::runtime {

/// A product of matrices as a step of a work item. Slots are of the items' tape.
struct ProductStep {
  struct Matrix {
    /// Among the pointers of a call; nothing: in the worker's scratch.
    std::optional<std::size_t> pointer;
    Tape::Slot start = 0;    ///< bytes
    Tape::Slot leading = 0;  ///< elements
  };
  struct Extent {
    Tape::Slot here = 0;          ///< of this item
    std::vector<Tape::Slot> all;  ///< of all items
  };
  Matrix a, b, c;
  Extent rows, columns, depth;
};

/// What the work items of a phase consist of where an executor computes their products: code and
/// products in turn.
class ItemSteps {
 public:
  struct Step {
    std::optional<ProductStep> product;          ///< before the code
    std::unique_ptr<codegen::MachineCode> code;  ///< may be null
  };

  /// `codes`: of the phases that `steps` names; taken.
  ItemSteps(const linear::LinearIR& ir, const linear::SplitPhase& steps,
            std::span<std::unique_ptr<codegen::MachineCode>> codes, BrgemmExecutor& executor);

  const std::vector<Step>& steps() const { return steps_; }
  /// Over the kernel's symbols and the number of the work item, which comes last.
  const Tape& tape() const { return tape_; }
  BrgemmExecutor& executor() const { return executor_; }

 private:
  Tape::Slot add(const Expr& e);
  ProductStep::Matrix matrix(const linear::LinearIR& ir, const linear::MatrixInMemory& m);
  ProductStep::Extent extent(const linear::BrgemmExtent& e);

  std::map<std::string, Expr> variables_;
  Tape tape_;
  std::vector<Step> steps_;
  BrgemmExecutor& executor_;
};

/// The same, with the shapes of one call: kernels of the executor, and what the workers need.
class BoundItemSteps {
 public:
  BoundItemSteps(const ItemSteps& steps, int workers);

  /// `symbols`: the kernel's. There is a work item. Asks the executor for kernels for all products
  /// that will come.
  void bind(std::span<const std::int64_t> symbols);
  void run(codegen::KernelArguments arguments, int worker);

 private:
  struct Sized {
    BrgemmShape shape;
    std::shared_ptr<const BrgemmKernel> kernel;
  };

  void find_kernels(const ProductStep& product, std::span<const std::int64_t> registers,
                    std::vector<Sized>& kernels);
  static void run_product(const ProductStep& product, const std::vector<Sized>& kernels,
                          std::span<const std::int64_t> registers,
                          const codegen::KernelArguments& arguments);

  const ItemSteps& steps_;
  std::vector<std::vector<Sized>> kernels_;           ///< by step
  std::vector<std::vector<std::int64_t>> registers_;  ///< of the items' tape, by worker
};

}  // namespace burin::runtime
