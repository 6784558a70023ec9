#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "linear/linear_ir.h"

namespace burin::linear {

/// What a loop variable stands for inside of its loop.
enum class LoopKind : std::uint8_t {
  single,  ///< one position: every step is 1
  block,   ///< one position, the block's first: a step > 1, and inner loops' bounds name the variable (or it is a
           ///< parallel loop); the elements are the inner loops' affair
  rows,    ///< a step > 1: a tile of rows
  lanes,   ///< a tile of lanes
};

/// Which loop variables each value varies over, and what kind of loop each is.
///
/// A value varies over
///   load, integer     the loop variables in its index
///   fill              `over`, and those variables of enclosing loops without tiles over which what is folded into
///                     it varies (so that each iteration's result is a value of its own)
///   value operations  what any operand varies over
///   lanes_*           what its operand varies over, without the enclosing lane loop, or that which follows its fill
/// and if it is written in several places, what any of these varies over. An update or assign adds nothing: it folds
/// into what its variable has.
///
///     loop _i in 0..N {                     // single
///       lanes _q in 0..S step 64 partial {  // lanes
///         %s = fill 0 over(_q)              // {_i, _q}: _i because of %x
///         %w = load %b[_q]                  // {_q}
///         loop _k in 0..K step 4 partial {  // rows
///           %x = load %a[...]               // {_i, _k}
///           %s = update_fma %s, %w, %x
class Dependence {
 public:
  using Variable = std::uint32_t;      ///< loops of the same name have the same variable
  using Set = std::vector<Variable>;  ///< sorted

  explicit Dependence(const LinearIR& ir);

  const std::vector<std::string>& variables() const { return names_; }
  Variable variable(const std::string& name) const;  ///< kNone if no loop has it
  Set variables_of(const Expr& e) const;

  LoopKind kind(const Loop& loop) const { return kinds_.at(&loop); }
  bool is_lanes(Variable v) const { return is_lanes_[v]; }

  const Set& of(ValueId value) const { return values_[value]; }
  bool varies(ValueId value, Variable v) const;

 private:
  void classify(const Block& block);
  void visit(const Block& block);
  void visit(const Expression& e);
  bool add(Set& to, const Set& from);

  std::vector<std::string> names_;
  std::map<std::string, Variable> numbers_;
  std::vector<bool> is_lanes_;
  std::map<const Loop*, LoopKind> kinds_;
  std::vector<Set> values_;
  std::vector<Set> folded_;  ///< by value: what its updates' operands vary over
  std::map<const Expression*, Set> indices_;
  // Of the enclosing loops, while visiting.
  Set without_tiles_;
  Set not_lanes_;
  bool changed_ = false;
};

bool contains(const Dependence::Set& set, Dependence::Variable v);

}  // namespace burin::linear
