#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "burin/expr.h"
#include "burin/type.h"

namespace burin::linear {

/// The operations of Linear IR; see linear_ops.def.
enum class Op : std::uint8_t {
#define LINEAR_OP(name, text, kind, inputs) name,
#include "linear/linear_ops.def"
};

enum class OpClass : std::uint8_t { value, memory, update, lanes, segments };

struct OpInfo {
  Op op;
  std::string_view text;
  OpClass kind;
  int inputs;
};
const OpInfo& info(Op op);
/// What gives an Expr as a number.
constexpr bool is_integer(Op op) { return op == Op::integer || op == Op::integer_i32; }
std::optional<Op> op_from_text(std::string_view text);

/// A value: held in vector registers by the code generator, one for each (row, vector of lanes) of its tile. A value
/// may be written more than once (update operations, assign): it is a variable, not SSA.
using ValueId = std::uint32_t;
using MemoryId = std::uint32_t;
inline constexpr std::uint32_t kNone = 0xffffffffU;

/// The elements that a tensor is in memory. An i64 is two words, the lower first: element i lies at 2*i and 2*i + 1.
constexpr Precision precision_in_memory(Precision of_tensor) { return of_tensor == Precision::i64 ? Precision::i32 : of_tensor; }

/// Where elements lie.
struct Memory {
  enum class Kind : std::uint8_t {
    input,     ///< argument; index: position among the inputs
    output,    ///< argument; index: position among the outputs
    constant,  ///< a tensor baked into the kernel; index: position among the constants
    worker,    ///< scratch of one worker
    call,      ///< scratch shared by all workers of a call (lives across phases)
  } kind{};
  std::string name;          ///< unique, an identifier
  std::uint32_t index = 0;   ///< of input, output, constant
  Precision precision = Precision::f32;
  Expr elements;             ///< of scratch: its size
  std::optional<Expr> offset;  ///< of scratch, in bytes, once the allocation pass has run
  /// Of kind call: the memory, an input or constant, that is meant instead where `used` is 0 (a copy that pays for some
  /// shapes only).
  MemoryId otherwise = kNone;
  Expr used = 1;
};

/// The symbol that stands for the number of workers of a call.
inline constexpr std::string_view kWorkers = "call.workers";

/// One expression: `out = op(in...)`.
struct Expression {
  Op op{};
  ValueId out = kNone;
  std::vector<ValueId> in;
  double imm = 0;                  ///< of fill; of elementwise ops with a parameter (alpha)
  MemoryId memory = kNone;         ///< of load, store, prefetch
  Expr index;                      ///< of load, store, prefetch: the element, an Expr over symbols and loop variables.
                                   ///< of integer, integer_i32: the value; of segments_*: lanes of a segment,
                                   ///< half a vector at most
  bool past_caches = false;        ///< of store: its whole vectors need not be found in a cache later
  bool second_level = false;       ///< of prefetch: into the second-level cache, not the nearest
  bool once = false;               ///< of prefetch: not for each row of a tile, but for the first
  std::vector<std::string> over;   ///< of fill: loop variables (of enclosing or following sibling loops) that its
                                   ///< tile spans
};

struct Loop;

/// An expression or a loop.
struct Item {
  std::unique_ptr<Loop> loop;  ///< null for an expression
  Expression expression;

  Item() = default;
  Item(Expression e) : expression(std::move(e)) {}  // NOLINT(google-explicit-constructor)
  Item(Loop l);                                      // NOLINT(google-explicit-constructor)
  bool is_loop() const { return loop != nullptr; }
  Item clone() const;
};

using Block = std::vector<Item>;
Block clone(const Block& block);

/// `for (var = begin; var < end;)` run by the versions in order, widest first: each runs as long as `step` whole
/// elements are left (a partial one: as long as there are more than the next version would take at once, or any where it
/// is the last) and advances `var` by `step`. One iteration of a version computes a *tile*: `step` elements of the loop's axis at once, in registers, as rows (lanes == false) or as vectors
/// of lanes (lanes == true; `step` is a multiple of the target's vector length, or 1: no vector, but one element of it,
/// as the tail of a target without masks). Values depend on the row axis and on the lane axis only through loads, fills
/// and operands.
struct Loop {
  struct Version {
    std::int64_t step = 1;
    bool partial = false;  ///< its last iteration may have fewer than `step` elements
    Block body;
  };
  /// What makes a loop go on: after an iteration, a value of its body is at most a number in some lane.
  struct Condition {
    ValueId value = kNone;
    double at_most = 0;
  };
  std::string var;  ///< starts with '_': no shape symbol does
  Expr begin, end;  ///< over symbols and outer loop variables
  bool parallel = false;
  bool lanes = false;
  Expr round;       ///< of a parallel loop: how many of its iterations make a round (see LinearIR); 0: no rounds
  /// A lane loop that is one product of matrices in memory, for a BRGEMM executor to compute; no code is emitted for it,
  /// so that it has no tile. See linear/brgemm_nest.h.
  bool brgemm = false;
  std::optional<Condition> condition;  ///< without one it runs to its end
  std::vector<Version> versions;

  /// Elements that must be left for the version of that number to run.
  std::int64_t fewest(std::size_t version) const;

  Block& body() { return versions.front().body; }
  const Block& body() const { return versions.front().body; }
  Loop clone() const;
};

/// An input or output as the caller sees it.
struct Port {
  std::string name;
  Precision precision = Precision::f32;
  Shape shape;
  /// In elements. Of inputs: symbols (known at bind time) save for the innermost, which is 1; of outputs: dense.
  std::vector<Expr> strides;
};

/// A kernel: an ordered list of phases; each is one nest of parallel loops with a join behind it.
///
/// Phases may take turns, so that what one leaves in scratch for the next stays small and warm. An iteration of a
/// parallel loop and all loops around it is a *unit*; where the loop has a `round`, the phases that have it, too, run for
/// that many units, one phase after the other, then for the next ones:
///
///     parallel _b in 0..B round 2 { parallel _r { pack } }         for u in 0, 2, 4, ...:
///     parallel _b in 0..B round 2 { parallel _q { compute } }        pack units u, u + 1; compute units u, u + 1
///
/// Rounds nest: a phase with more loops that have one runs inside of the rounds of those with fewer. All phases agree in
/// the loops that they have in common, and come in the order of how many they have.
struct LinearIR {
  std::string name;
  std::vector<std::string> symbols;   ///< of shapes and strides, sorted
  /// Symbols that stand for an expression over symbols and earlier definitions.
  std::vector<std::pair<std::string, Expr>> definitions;
  std::vector<Port> inputs, outputs;
  std::vector<Tensor> constants;
  std::vector<Memory> memory;
  std::vector<std::string> values;    ///< names by ValueId, unique
  Block phases;
  Facts facts;
  std::int64_t lanes = 16;            ///< f32 lanes of the target's vector

  ValueId new_value(std::string_view hint);
  MemoryId new_memory(Memory m);      ///< makes the name unique
  /// A symbol that stands for the expression (which itself, where it is one symbol or a constant).
  Expr define(std::string_view hint, const Expr& e);
  void add_symbol(std::string_view name);  ///< if it is not there
  /// In terms of symbols without definitions.
  Expr resolve(Expr e) const;

 private:
  std::map<std::string, std::size_t> free_numbers_;  ///< that names of values and memory end in; see unique_name
};

/// What an iteration computes at once.
struct TileShape {
  bool rows = false;   ///< spans the row loop's step
  bool lanes = false;  ///< spans the lane loop's step
  bool operator==(const TileShape&) const = default;
};

/// A loop variable that does not occur in `ir` yet: "_k", then "_k1", ...
std::string fresh_variable(const LinearIR& ir, std::string_view hint);

/// Calls f for every expression of the block, loops entered in order (all versions).
void for_each_expression(Block& block, const std::function<void(Expression&)>& f);
void for_each_expression(const Block& block, const std::function<void(const Expression&)>& f);
/// Calls f for every loop, outer before inner.
void for_each_loop(Block& block, const std::function<void(Loop&)>& f);
void for_each_loop(const Block& block, const std::function<void(const Loop&)>& f);

std::string print(const LinearIR& ir);
LinearIR parse_linear(std::string_view text);

/// Checks every invariant of Linear IR (listed in linear/verifier.cpp); throws burin::Error.
void verify(const LinearIR& ir);
/// verify(), and what the code generator needs on top: no value crosses from one loop to a sibling; see the same list.
void verify_registers(const LinearIR& ir);

/// The plain interpreter: values as arrays of double, tiles element by element; needs no ISA. Works at every stage
/// between lowering and code generation. `inputs` dense; `symbols`: all of ir.symbols that the input shapes do not
/// determine (strides are those of dense tensors).
std::vector<Tensor> interpret(const LinearIR& ir, const std::vector<Tensor>& inputs,
                              const std::map<std::string, std::int64_t>& symbols = {});

}  // namespace burin::linear
