// The plain interpreter of Linear IR. It gives a program a meaning that depends neither on the steps of its loops nor
// on whether values cross loops in registers, through cells of this interpreter, or through scratch:
//
//   - A value has a cell for each combination of positions of the loop variables that it varies over (dependence.h).
//     So a tile is no more than the cells of several positions, and a value that crosses loops is found where it is.
//   - An expression runs for all positions, within the enclosing tiles, of the variables that it or an operand varies
//     over. A variable whose loop does not enclose it (a fill in front of the loops that it names in `over`, and what
//     follows these) takes all positions that this loop ever has.
//   - What a value had in the last iteration of its home, the innermost body that holds all that touches it, is gone.
//   - Scratch lies where its offsets say, each byte knows which memory and which work item wrote it last. Read what
//     nobody wrote, or another memory, or (of a worker) another work item: an error. So is an access of one element by
//     two work items of a phase where one of them writes.
//
// Values are doubles; memory holds what its precision can hold.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "burin/error.h"
#include "graph/shape_math.h"
#include "linear/dependence.h"
#include "linear/linear_ir.h"
#include "linear/text.h"
#include "support/checked.h"
#include "support/integer_conversion.h"
#include "support/integer_division.h"
#include "support/tape.h"
#include "target/target_info.h"

namespace burin::linear {
namespace {

// ---------------------------------------------------------------------------------------------------------
// What the operations compute. Updates and lanes_* fold: a is what they have, b and c are what comes.

using Function = double (*)(double a, double b, double c, double d, double imm);

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double minimum(double a, double b) { return std::isnan(a) || a < b ? a : b; }
double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }
std::int32_t word(double x) { return static_cast<std::int32_t>(x); }
constexpr int kByteBits = 8;
std::uint32_t unsigned_word(double x) { return static_cast<std::uint32_t>(word(x)); }
/// Of what its low 32 bits say.
double wrapped(std::uint64_t x) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(x)); }
double to_f32(std::int64_t x) { return static_cast<float>(x); }
std::int64_t joined(double low, double high) { return static_cast<std::int64_t>(high) * (std::int64_t{1} << 32) + unsigned_word(low); }
double low_word(std::int64_t x) { return wrapped(static_cast<std::uint64_t>(x)); }
double high_word(std::int64_t x) { return wrapped(static_cast<std::uint64_t>(x) >> 32); }
double truth(bool b) { return b ? 1.0 : 0.0; }

#define F(formula) [](double a, double b, double c, double d, double imm) -> double { \
  static_cast<void>(a), static_cast<void>(b), static_cast<void>(c), static_cast<void>(d), static_cast<void>(imm); \
  return formula; \
}

Function function_of(Op op) {
  switch (op) {
    case Op::load: return nullptr;
    case Op::store: return nullptr;
    case Op::prefetch: return nullptr;
    case Op::fill: return F(imm);
    case Op::integer: return nullptr;
    case Op::integer_i32: return nullptr;
    case Op::assign: return F(b);
    case Op::abs: return F(std::fabs(a));
    case Op::neg: return F(-a);
    case Op::sqrt: return F(std::sqrt(a));
    case Op::rsqrt: return F(1.0 / std::sqrt(a));
    case Op::reciprocal: return F(1.0 / a);
    case Op::square: return F(a * a);
    case Op::exp: return F(std::exp(a));
    case Op::exp2: return F(std::exp2(a));
    case Op::exp2_softmax: return F(std::exp2(a));
    case Op::log: return F(std::log(a));
    case Op::tanh: return F(std::tanh(a));
    case Op::sigmoid: return F(sigmoid(a));
    case Op::erf: return F(std::erf(a));
    case Op::relu: return F(a < 0 ? 0.0 : a);
    case Op::leaky_relu: return F(a < 0 ? imm * a : a);
    case Op::elu: return F(a < 0 ? imm * std::expm1(a) : a);
    case Op::gelu: return F(0.5 * a * std::erfc(-a / std::numbers::sqrt2));  // 1 + erf, without cancellation
    case Op::gelu_tanh:
      return F(0.5 * a * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (a + 0.044715 * a * a * a))));
    case Op::silu: return F(a * sigmoid(a));
    case Op::softplus: return F((a > 0 ? a : 0.0) + std::log1p(std::exp(-std::fabs(a))));
    case Op::hard_sigmoid: return F(minimum(maximum(imm * a + 0.5, 0.0), 1.0));
    case Op::hard_swish: return F(a * minimum(maximum(a / 6.0 + 0.5, 0.0), 1.0));
    case Op::floor: return F(std::floor(a));
    case Op::ceil: return F(std::ceil(a));
    case Op::round: return F(std::nearbyint(a));
    case Op::sign: return F(a > 0 ? 1.0 : a < 0 ? -1.0 : a);  // NaN and zero stay
    case Op::sin: return F(std::sin(a));
    case Op::cos: return F(std::cos(a));
    case Op::logical_not: return F(truth(a == 0));
    case Op::is_nan: return F(truth(std::isnan(a)));
    case Op::is_inf: return F(truth(std::isinf(a)));
    case Op::to_bool: return F(truth(a != 0));
    case Op::add: return F(a + b);
    case Op::sub: return F(a - b);
    case Op::mul: return F(a * b);
    case Op::div: return F(a / b);
    case Op::pow: return F(std::pow(a, b));
    case Op::fmod: return F(std::fmod(a, b));
    case Op::min: return F(minimum(a, b));
    case Op::max: return F(maximum(a, b));
    case Op::prelu: return F(a < 0 ? b * a : a);
    case Op::logical_and: return F(truth(a != 0 && b != 0));
    case Op::logical_or: return F(truth(a != 0 || b != 0));
    case Op::logical_xor: return F(truth((a != 0) != (b != 0)));
    case Op::equal: return F(truth(a == b));
    case Op::less: return F(truth(a < b));
    case Op::less_equal: return F(truth(a <= b));
    case Op::greater: return F(truth(a > b));
    case Op::greater_equal: return F(truth(a >= b));
    case Op::where: return F(a != 0 ? b : c);
    case Op::fma: return F(a * b + c);
    case Op::fnma: return F(c - a * b);
    case Op::add_i32: return F(wrapped(std::uint64_t{unsigned_word(a)} + unsigned_word(b)));
    case Op::sub_i32: return F(wrapped(std::uint64_t{unsigned_word(a)} - unsigned_word(b)));
    case Op::mul_i32: return F(wrapped(std::uint64_t{unsigned_word(a)} * unsigned_word(b)));
    case Op::mul_high_u32: return F(wrapped(std::uint64_t{unsigned_word(a)} * unsigned_word(b) >> 32));
    case Op::div_i32: return F(quotient_of(word(a), word(b)));
    case Op::div_i64_low: return F(low_word(quotient_of(joined(a, b), joined(c, d))));
    case Op::div_i64_high: return F(high_word(quotient_of(joined(a, b), joined(c, d))));
    case Op::byte_of: return F(static_cast<std::uint8_t>(unsigned_word(a) >> (kByteBits * static_cast<int>(imm))));
    case Op::sign_word: return F(a < 0 ? -1.0 : 0.0);
    case Op::equal_i32: return F(truth(a == b));
    case Op::less_i32: return F(truth(a < b));
    case Op::less_u32: return F(truth(unsigned_word(a) < unsigned_word(b)));
    case Op::to_i32: return F(truncate_to<std::int32_t>(a));
    case Op::to_f32: return F(to_f32(static_cast<std::int64_t>(a)));
    case Op::i64_to_f32: return F(to_f32(joined(a, b)));
    case Op::update_fma: return F(a + b * c);
    case Op::update_sum: return F(a + b);
    case Op::update_max: return F(maximum(a, b));
    case Op::update_max_number: return F(std::fmax(a, b));  // it may lose a NaN, so it does
    case Op::update_min: return F(minimum(a, b));
    case Op::update_prod: return F(a * b);
    case Op::update_sum_i32:
    case Op::lanes_sum_i32: return F(wrapped(std::uint64_t{unsigned_word(a)} + unsigned_word(b)));
    case Op::update_prod_i32:
    case Op::lanes_prod_i32: return F(wrapped(std::uint64_t{unsigned_word(a)} * unsigned_word(b)));
    case Op::update_max_i32:
    case Op::lanes_max_i32: return F(std::max(a, b));
    case Op::update_min_i32:
    case Op::lanes_min_i32: return F(std::min(a, b));
    case Op::lanes_sum:
    case Op::segments_sum: return F(a + b);
    case Op::lanes_max:
    case Op::segments_max: return F(maximum(a, b));
    case Op::segments_max_number: return F(std::fmax(a, b));
    case Op::lanes_min:
    case Op::segments_min: return F(minimum(a, b));
    case Op::lanes_prod:
    case Op::segments_prod: return F(a * b);
  }
  throw Error(fmt::format("the interpreter of Linear IR does not know operation {}", static_cast<int>(op)));
}

#undef F

// ---------------------------------------------------------------------------------------------------------
// The program, prepared.

using Variable = Dependence::Variable;

/// Positions of symbols and loop variables: symbols first.
struct Scope {
  std::vector<std::string> names;
  std::map<std::string, std::size_t, std::less<>> slots;
  std::vector<std::int64_t> positions;
};

/// An Expr that is evaluated often.
class Formula {
 public:
  Formula() = default;
  Formula(const Expr& e, const Scope& scope) {
    if (const auto constant = e.as_constant()) {
      value_ = *constant;
      return;
    }
    const std::set<std::string> symbols = e.symbols();
    tape_.emplace(std::vector<std::string>(symbols.begin(), symbols.end()));
    for (const std::string& s : symbols) slots_.push_back(scope.slots.at(s));
    result_ = tape_->add(e);
    registers_.resize(tape_->register_count());
  }

  std::int64_t operator()(const Scope& scope) {
    if (!tape_) return value_;
    for (std::size_t i = 0; i < slots_.size(); ++i) registers_[i] = scope.positions[slots_[i]];
    tape_->evaluate(registers_);
    return registers_[result_];
  }

 private:
  std::int64_t value_ = 0;
  std::optional<Tape> tape_;
  std::vector<std::size_t> slots_;
  Tape::Slot result_ = 0;
  std::vector<std::int64_t> registers_;
};

/// The cells of a value. A cell counts only if it was written in the present iteration of the value's home.
struct Cells {
  struct Axis {
    Variable variable = 0;
    bool is_relative = false;  ///< counts from where the enclosing iteration begins: its loop encloses the home
    std::int64_t extent = 1;
    std::int64_t stride = 1;
  };
  std::vector<Axis> axes;
  std::vector<double> values;
  std::vector<std::uint32_t> written;  ///< in which iteration
  std::uint32_t iteration = 1;
};

constexpr std::size_t kMostOperands = 4;

/// What is addressed while an expression runs: the output, the operands, an element of memory.
enum Slot : std::size_t { kOut, kFirst, kElement = kFirst + kMostOperands, kSlots };
using Offsets = std::array<std::int64_t, kSlots>;

/// The positions that an expression runs over.
struct Space {
  std::vector<std::int64_t> counts, begins, at;  ///< for each variable
  Offsets offsets{};
};

struct Step {  ///< an expression
  const Expression* expression = nullptr;
  Function function = nullptr;
  std::vector<Variable> variables;   ///< that it runs over
  std::vector<Offsets> strides;      ///< for each variable; of the element: filled in when it runs
  Formula index;
  struct Coefficient {
    std::optional<Formula> formula;  ///< none: the index is not linear in the variable
    Dependence::Set variables;
  };
  std::vector<Coefficient> coefficients;  ///< for each variable
  Space space;                            ///< of the present run
};

struct PreparedLoop;
struct PreparedItem {
  std::unique_ptr<PreparedLoop> loop;
  Step step;
  std::size_t level = 0;  ///< of a phase: its loops that have a round
};
using PreparedBlock = std::vector<PreparedItem>;

struct PreparedLoop {
  const Loop* loop = nullptr;
  Variable variable = 0;
  Formula begin, end;
  bool is_tile = false;
  bool is_work_item = false;   ///< the innermost parallel loop
  bool bounds_others = false;  ///< inner loops' bounds name the variable
  std::int64_t count = 0;      ///< of a parallel loop: its iterations
  std::size_t level = 0;       ///< of a loop that has a round: its place among those of its phase, from 1
  struct Version {
    PreparedBlock body;
    std::vector<ValueId> homed;  ///< values whose home the body is
  };
  std::vector<Version> versions;
};

/// The positions of a loop variable that an expression sees, and all that it ever has.
struct Positions {
  bool is_active = false;
  std::int64_t begin = 0, end = 0;
  std::int64_t low = std::numeric_limits<std::int64_t>::max();
  std::int64_t high = std::numeric_limits<std::int64_t>::min();
};

/// Who wrote the units of memory; a unit is the smallest element.
struct Writers {
  std::vector<std::uint32_t> memory;
  std::vector<std::uint32_t> work_item;  ///< 0: nobody
};

struct View {
  Tensor tensor;
  Writers* writers = nullptr;  ///< none: read only
  std::int64_t first_unit = 0, units = 1;
};

// ---------------------------------------------------------------------------------------------------------

class Interpreter {
 public:
  Interpreter(const LinearIR& ir, const std::vector<Tensor>& inputs, const std::map<std::string, std::int64_t>& symbols)
      : ir_(ir), dependence_(ir), ranges_(dependence_.variables().size()), cells_(ir.values.size()) {
    bind(inputs, symbols);
    make_scope();
    for (std::size_t v = 0; v < ir.values.size(); ++v) cells_[v].axes.resize(dependence_.of(static_cast<ValueId>(v)).size());
    find_homes(ir.phases);
    program_ = prepare(ir.phases);
    measure(program_);
    for (std::size_t v = 0; v < ir.values.size(); ++v) make_cells(static_cast<ValueId>(v));
    link(program_);
    views_.resize(ir.memory.size());
    make_tensors(inputs);
    make_scratch(Memory::Kind::worker, worker_);
    make_scratch(Memory::Kind::call, call_);
    make_alternatives();
    for (PreparedItem& phase : program_)
      if (phase.loop) phase.level = find_rounds(*phase.loop, 1, 0);
  }

  std::vector<Tensor> run() {
    run_rounds(0, {0, 1});
    check_complete();
    return outputs_;
  }

 private:
  template <typename... A>
  [[noreturn]] static void fail(fmt::format_string<A...> format, A&&... arguments) {
    throw Error(fmt::format(format, std::forward<A>(arguments)...));
  }

  // ---- symbols

  void bind(const std::vector<Tensor>& inputs, const std::map<std::string, std::int64_t>& symbols) {
    symbols_ = symbols;
    symbols_.emplace(kWorkers, 1);
    if (inputs.size() != ir_.inputs.size()) fail("expected {} inputs, given {}", ir_.inputs.size(), inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) bind_names(ir_.inputs[i], inputs[i]);
    for (const std::string& s : ir_.symbols)
      if (!symbols_.contains(s)) fail("symbol {} is not determined by the inputs; give its value", s);
    for (const auto& [name, e] : ir_.definitions) symbols_[name] = value_of(e);
    for (std::size_t i = 0; i < inputs.size(); ++i) check(ir_.inputs[i], inputs[i]);
    for (const Facts::Check& c : ir_.facts.checks()) check(c);
  }

  void bind_names(const Port& port, const Tensor& tensor) {
    if (tensor.precision() != port.precision)
      fail("input '{}': expected {}, given {}", port.name, burin::to_string(port.precision), burin::to_string(tensor.precision()));
    if (tensor.dims().size() != port.shape.size())
      fail("input '{}': expected {} dimensions, given {}", port.name, port.shape.size(), tensor.dims().size());
    const Dims strides = row_major_strides(tensor.dims());
    for (std::size_t d = 0; d < port.shape.size(); ++d) {
      if (const auto s = port.shape[d].as_symbol()) symbols_.emplace(*s, tensor.dims()[d]);
      if (const auto s = port.strides[d].as_symbol()) symbols_.emplace(*s, strides[d]);
    }
  }

  std::int64_t value_of(const Expr& e) const { return e.evaluate(symbols_); }

  void check(const Port& port, const Tensor& tensor) const {
    for (std::size_t d = 0; d < port.shape.size(); ++d) {
      const std::int64_t expected = value_of(port.shape[d]);
      if (tensor.dims()[d] != expected)
        fail("input '{}': dimension {} is {}; expected {} = {}", port.name, d, tensor.dims()[d], port.shape[d].to_string(), expected);
    }
    if (tensor.size() == 0) return;
    const Dims strides = row_major_strides(tensor.dims());
    for (std::size_t d = 0; d < port.strides.size(); ++d) {
      const std::int64_t stride = value_of(port.strides[d]);
      if (tensor.dims()[d] > 1 && stride != strides[d])
        fail("input '{}': stride {} is {}; that of a dense tensor is {}", port.name, d, stride, strides[d]);
    }
  }

  void check(const Facts::Check& c) const {
    const std::int64_t left = value_of(c.left), right = value_of(c.right);
    bool holds = false;
    switch (c.relation) {
      case Facts::Check::Relation::equal: holds = left == right; break;
      case Facts::Check::Relation::divides: holds = left != 0 && right % left == 0; break;
      case Facts::Check::Relation::at_least: holds = left >= right; break;
    }
    if (!holds) fail("{}: does not hold for {} and {}", c.to_string(), left, right);
  }

  void make_scope() {
    scope_.names = ir_.symbols;
    for (const auto& definition : ir_.definitions) scope_.names.push_back(definition.first);
    first_variable_ = scope_.names.size();
    scope_.names.insert(scope_.names.end(), dependence_.variables().begin(), dependence_.variables().end());
    for (std::size_t i = 0; i < scope_.names.size(); ++i) scope_.slots.emplace(scope_.names[i], i);
    scope_.positions.resize(scope_.names.size());
    for (std::size_t i = 0; i < first_variable_; ++i) scope_.positions[i] = symbols_.at(scope_.names[i]);
  }

  // ---- preparing the tree

  using Place = std::pair<const Loop*, std::size_t>;  ///< a version

  /// The longest common path of all that touches a value.
  void find_homes(const Block& block) {
    for (const Item& item : block) {
      if (item.is_loop()) {
        for (std::size_t i = 0; i < item.loop->versions.size(); ++i) {
          path_.emplace_back(item.loop.get(), i);
          find_homes(item.loop->versions[i].body);
          path_.pop_back();
        }
        continue;
      }
      const auto touch = [this](ValueId v) {
        const auto [home, is_new] = homes_.emplace(v, path_);
        if (is_new) return;
        std::vector<Place>& common = home->second;
        const auto end = std::mismatch(common.begin(), common.end(), path_.begin(), path_.end()).first;
        common.erase(end, common.end());
      };
      for (const ValueId v : item.expression.in) touch(v);
      if (item.expression.out != kNone) touch(item.expression.out);
    }
  }

  PreparedBlock prepare(const Block& block) {
    PreparedBlock out;
    for (const Item& item : block) {
      if (!item.is_loop() && item.expression.op == Op::prefetch) continue;
      PreparedItem prepared;
      if (item.is_loop())
        prepared.loop = std::make_unique<PreparedLoop>(prepare(*item.loop));
      else
        prepared.step = prepare(item.expression);
      out.push_back(std::move(prepared));
    }
    return out;
  }

  PreparedLoop prepare(const Loop& loop) {
    PreparedLoop out;
    out.loop = &loop;
    out.variable = dependence_.variable(loop.var);
    out.begin = Formula(loop.begin, scope_);
    out.end = Formula(loop.end, scope_);
    const LoopKind kind = dependence_.kind(loop);
    out.is_tile = kind == LoopKind::rows || kind == LoopKind::lanes;
    out.is_work_item = loop.parallel;
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      path_.emplace_back(&loop, i);
      PreparedLoop::Version version;
      version.body = prepare(loop.versions[i].body);
      for (const auto& [value, home] : homes_)
        if (home == path_) version.homed.push_back(value);
      for_each_loop(loop.versions[i].body, [&](const Loop& inner) {
        if (inner.parallel) out.is_work_item = false;
        if (inner.begin.uses(loop.var) || inner.end.uses(loop.var)) out.bounds_others = true;
      });
      out.versions.push_back(std::move(version));
      path_.pop_back();
    }
    return out;
  }

  Step prepare(const Expression& e) {
    Step out;
    out.expression = &e;
    out.function = function_of(e.op);
    std::set<Variable> all;
    const auto add = [&all](const Dependence::Set& set) { all.insert(set.begin(), set.end()); };
    if (e.out != kNone) add(dependence_.of(e.out));
    for (const ValueId v : e.in) add(dependence_.of(v));
    add(dependence_.variables_of(e.index));
    out.variables.assign(all.begin(), all.end());
    for (auto* list : {&out.space.counts, &out.space.begins, &out.space.at}) list->resize(all.size());
    out.index = Formula(e.index, scope_);
    for (const Variable v : out.variables) {
      Step::Coefficient c;
      if (const auto coefficient = e.index.coefficient(dependence_.variables()[v])) {
        c.formula.emplace(*coefficient, scope_);
        c.variables = dependence_.variables_of(*coefficient);
      }
      out.coefficients.push_back(std::move(c));
    }
    return out;
  }

  // ---- extents: all positions of the loops, without running expressions

  void measure(PreparedBlock& block) {
    for (PreparedItem& item : block)
      if (item.loop) measure(*item.loop);
  }

  void measure(PreparedLoop& loop) {
    const std::int64_t begin = loop.begin(scope_), end = loop.end(scope_);
    if (begin >= end) return;
    Positions& range = ranges_[loop.variable];
    range.low = std::min(range.low, begin);
    range.high = std::max(range.high, end);
    std::int64_t at = begin;
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      const Loop::Version& version = loop.loop->versions[i];
      if (!loop.bounds_others) {  // one iteration shows what all do
        scope_.positions[first_variable_ + loop.variable] = begin;
        measure(loop.versions[i].body);
        continue;
      }
      for (; end - at >= loop.loop->fewest(i); at += version.step) {
        scope_.positions[first_variable_ + loop.variable] = at;
        measure(loop.versions[i].body);
      }
    }
  }

  // ---- cells

  static constexpr std::int64_t kMaxCells = std::int64_t{1} << 28;

  void make_cells(ValueId v) {
    Cells& cells = cells_[v];
    const Dependence::Set& variables = dependence_.of(v);
    const std::vector<Place>& home = homes_[v];
    std::int64_t count = 1;
    for (std::size_t i = variables.size(); i-- > 0;) {
      Cells::Axis& axis = cells.axes[i];
      Positions& range = ranges_[variables[i]];
      if (range.low >= range.high) range.low = 0, range.high = 1;  // the loop never runs; its fills still do
      axis.variable = variables[i];
      axis.extent = range.high - range.low;
      for (const auto& [loop, version] : home) {
        if (dependence_.variable(loop->var) != axis.variable) continue;
        axis.is_relative = true;
        const LoopKind kind = dependence_.kind(*loop);
        axis.extent = kind == LoopKind::rows || kind == LoopKind::lanes ? loop->versions[version].step : 1;
      }
      axis.stride = count;
      count = checked_mul(count, axis.extent, ir_.values[v]);
      if (count > kMaxCells) fail("%{} has too many elements to be interpreted", ir_.values[v]);
    }
    cells.values.resize(static_cast<std::size_t>(count));
    cells.written.resize(static_cast<std::size_t>(count));
  }

  /// The strides of the steps, once the cells are laid out.
  void link(PreparedBlock& block) {
    for (PreparedItem& item : block) {
      if (item.loop) {
        for (PreparedLoop::Version& version : item.loop->versions) link(version.body);
        continue;
      }
      Step& step = item.step;
      step.strides.assign(step.variables.size(), Offsets{});
      const auto set = [&](std::size_t slot, ValueId v) {
        for (const Cells::Axis& axis : cells_[v].axes) {
          const auto at = std::ranges::lower_bound(step.variables, axis.variable) - step.variables.begin();
          step.strides[static_cast<std::size_t>(at)][slot] = axis.stride;
        }
      };
      if (step.expression->out != kNone) set(kOut, step.expression->out);
      for (std::size_t i = 0; i < step.expression->in.size(); ++i) set(kFirst + i, step.expression->in[i]);
    }
  }

  // ---- memory

  /// The same bytes as elements of memory.
  static Tensor as_in_memory(const Tensor& tensor) {
    const Precision precision = precision_in_memory(tensor.precision());
    if (precision == tensor.precision()) return tensor;
    const auto whole = std::make_shared<Tensor>(tensor);
    const auto size = static_cast<std::int64_t>(tensor.bytes() / size_of(precision));
    return {precision, {size}, std::shared_ptr<const std::byte>(whole, tensor.data()), tensor.bytes()};
  }

  void make_tensors(const std::vector<Tensor>& inputs) {
    output_writers_.resize(ir_.outputs.size());
    for (std::size_t i = 0; i < ir_.outputs.size(); ++i) {
      Dims dims;
      for (const Expr& e : ir_.outputs[i].shape) dims.push_back(value_of(e));
      static_cast<void>(element_count(dims, fmt::format("output '{}'", ir_.outputs[i].name)));
      outputs_.push_back(Tensor::zeros(ir_.outputs[i].precision, dims));
      const auto size = static_cast<std::size_t>(as_in_memory(outputs_.back()).size());
      output_writers_[i] = {std::vector<std::uint32_t>(size), std::vector<std::uint32_t>(size)};
    }
    for (std::size_t m = 0; m < ir_.memory.size(); ++m) {
      const std::uint32_t index = ir_.memory[m].index;
      switch (ir_.memory[m].kind) {
        case Memory::Kind::input: views_[m].tensor = as_in_memory(inputs[index]); break;
        case Memory::Kind::constant: views_[m].tensor = as_in_memory(ir_.constants[index]); break;
        case Memory::Kind::output: views_[m] = {as_in_memory(outputs_[index]), &output_writers_[index], 0, 1}; break;
        default: break;
      }
    }
  }

  static constexpr std::int64_t kMaxScratch = std::int64_t{1} << 32;

  struct Piece {
    MemoryId memory;
    std::int64_t elements, size, offset;  ///< size: of an element
    std::int64_t end() const { return offset + elements * size; }
  };

  void make_scratch(Memory::Kind kind, Writers& writers) {
    std::vector<Piece> pieces;
    std::int64_t unit = kCacheLine, end = 0;
    for (MemoryId id = 0; id < ir_.memory.size(); ++id) {
      const Memory& m = ir_.memory[id];
      if (m.kind != kind) continue;
      Piece p{id, value_of(m.elements), static_cast<std::int64_t>(size_of(m.precision)), m.offset ? value_of(*m.offset) : -1};
      if (p.elements < 0 || p.elements > kMaxScratch / p.size) fail("%{} has {} elements", m.name, p.elements);
      if (m.offset && (p.offset < 0 || p.offset % p.size != 0 || p.offset > kMaxScratch))
        fail("%{} has offset {}", m.name, p.offset);
      unit = std::min(unit, p.size);
      if (m.offset) end = std::max(end, p.end());
      pieces.push_back(p);
    }
    for (Piece& p : pieces) {  // not laid out yet: each behind the others
      if (p.offset >= 0) continue;
      p.offset = (end + kCacheLine - 1) / kCacheLine * kCacheLine;
      end = p.end();
    }
    const Tensor bytes = Tensor::zeros(Precision::u8, {end});
    writers = {std::vector<std::uint32_t>(static_cast<std::size_t>(end / unit + 1)),
               std::vector<std::uint32_t>(static_cast<std::size_t>(end / unit + 1))};
    for (const Piece& p : pieces) {
      // The tensor of all bytes lives as long as the tensors that lie in it.
      const auto whole = std::make_shared<Tensor>(bytes);
      const std::shared_ptr<const std::byte> data(whole, bytes.data() + p.offset);
      views_[p.memory] = {Tensor(ir_.memory[p.memory].precision, {p.elements}, data, static_cast<std::size_t>(p.elements * p.size)),
                          &writers, p.offset / unit, p.size / unit};
    }
  }

  /// What is not used gives way to an input.
  void make_alternatives() {
    for (std::size_t m = 0; m < ir_.memory.size(); ++m)
      if (ir_.memory[m].otherwise != kNone && value_of(ir_.memory[m].used) == 0) views_[m] = views_[ir_.memory[m].otherwise];
  }

  void check_bounds(MemoryId m, std::int64_t element) const {
    const std::int64_t size = views_[m].tensor.size();
    if (element < 0 || element >= size) fail("index {} of %{} is outside of its {} elements", element, ir_.memory[m].name, size);
  }

  bool is_of_this_phase(std::uint32_t work_item) const { return work_item >= phase_begin_; }

  double load(MemoryId m, std::int64_t element) const {
    check_bounds(m, element);
    const View& view = views_[m];
    if (view.writers == nullptr) return view.tensor.at(element);
    for (std::int64_t u = 0; u < view.units; ++u) {
      const auto unit = static_cast<std::size_t>(view.first_unit + element * view.units + u);
      const std::uint32_t writer = view.writers->work_item[unit];
      const std::string& name = ir_.memory[m].name;
      if (writer == 0) fail("index {} of %{} is read before it is written", element, name);
      if (view.writers->memory[unit] != m)
        fail("index {} of %{} is read, but %{} was written over it", element, name, ir_.memory[view.writers->memory[unit]].name);
      if (writer == work_item_) continue;
      if (ir_.memory[m].kind == Memory::Kind::worker)
        fail("index {} of %{} is read, but another work item wrote it: scratch of a worker does not outlive one", element, name);
      if (is_of_this_phase(writer)) fail("index {} of %{} is read, but another work item of this phase writes it", element, name);
    }
    return view.tensor.at(element);
  }

  void store(MemoryId m, std::int64_t element, double value) {
    check_bounds(m, element);
    View& view = views_[m];
    for (std::int64_t u = 0; u < view.units; ++u) {
      const auto unit = static_cast<std::size_t>(view.first_unit + element * view.units + u);
      std::uint32_t& writer = view.writers->work_item[unit];
      if (writer != work_item_ && is_of_this_phase(writer) && ir_.memory[m].kind != Memory::Kind::worker)
        fail("index {} of %{} is written by two work items of one phase", element, ir_.memory[m].name);
      writer = work_item_;
      view.writers->memory[unit] = m;
    }
    view.tensor.set(element, value);
  }

  void check_complete() const {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto& writers = output_writers_[i].work_item;
      if (const auto at = std::ranges::find(writers, 0U); at != writers.end())
        fail("element {} of output '{}' is never written", at - writers.begin(), ir_.outputs[i].name);
    }
  }

  // ---- rounds

  struct Window {
    std::int64_t begin = 0, end = 0;
  };
  /// Loops that have a round, from the outermost to the innermost: of the phase that has most.
  struct Round {
    std::int64_t units = 0, size = 0;
    Window window;  ///< that runs now
  };

  /// Numbers the loops of a phase that have a round; gives how many there are. `units`: iterations of the loops around.
  std::size_t find_rounds(PreparedLoop& loop, std::int64_t units, std::size_t level) {
    if (!loop.loop->parallel) return level;
    const std::int64_t step = loop.loop->versions.front().step;
    loop.count = (loop.end(scope_) - loop.begin(scope_) + step - 1) / step;
    units = checked_mul(units, loop.count, loop.loop->var);
    if (!(loop.loop->round == Expr(0))) {
      loop.level = ++level;
      if (rounds_.size() < level) rounds_.push_back({units, value_of(loop.loop->round), {}});
      if (rounds_[level - 1].size < 1) fail("loop {}: a round of {} units", loop.loop->var, rounds_[level - 1].size);
    }
    PreparedBlock& body = loop.versions.front().body;
    return body.size() == 1 && body.front().loop ? find_rounds(*body.front().loop, units, level) : level;
  }

  /// The phases whose units are those of the `level`-th round, then the rounds inside.
  void run_rounds(std::size_t level, Window units) {
    if (level > 0) rounds_[level - 1].window = units;
    for (std::size_t i = 0; i < program_.size(); ++i) {
      if (program_[i].level != level) continue;
      const auto is_parallel = [&](std::size_t k) { return ir_.phases[k].is_loop() && ir_.phases[k].loop->parallel; };
      if (i == 0 || is_parallel(i) || is_parallel(i - 1)) phase_begin_ = ++work_item_;
      unit_ = 0;
      run(program_[i]);
    }
    if (level == rounds_.size() || units.begin >= units.end) return;
    const Round& inner = rounds_[level];
    const std::int64_t inside = inner.units / (level == 0 ? 1 : rounds_[level - 1].units);
    for (std::int64_t u = units.begin * inside; u < units.end * inside; u += inner.size)
      run_rounds(level + 1, {u, std::min(u + inner.size, units.end * inside)});
  }

  bool is_due(const PreparedLoop& loop) const {
    if (loop.level == 0) return true;
    const Window& window = rounds_[loop.level - 1].window;
    return unit_ >= window.begin && unit_ < window.end;
  }

  // ---- running

  void run(PreparedBlock& block) {
    for (PreparedItem& item : block) run(item);
  }

  void run(PreparedItem& item) {
    if (item.loop)
      run(*item.loop);
    else
      run(item.step);
  }

  void run(PreparedLoop& loop) {
    std::int64_t at = loop.begin(scope_);
    const std::int64_t end = loop.end(scope_);
    Positions& range = ranges_[loop.variable];
    range.is_active = true;
    const std::int64_t unit = unit_;
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      const Loop::Version& version = loop.loop->versions[i];
      for (std::int64_t n = 0; end - at >= loop.loop->fewest(i); at += version.step, ++n) {
        if (loop.loop->parallel) unit_ = unit * loop.count + n;
        if (!is_due(loop)) continue;
        range.begin = at;
        range.end = loop.is_tile ? std::min(at + version.step, end) : at + 1;
        scope_.positions[first_variable_ + loop.variable] = at;
        if (loop.is_work_item) ++work_item_;
        for (const ValueId v : loop.versions[i].homed) ++cells_[v].iteration;
        run(loop.versions[i].body);
        if (loop.loop->condition && !goes_on(*loop.loop->condition)) {
          range.is_active = false;
          return;
        }
      }
    }
    range.is_active = false;
    unit_ = unit;
    if (at < end) fail("loop {}: its versions leave out the elements from {} to {}", loop.loop->var, at, end - 1);
  }

  /// For all lanes of a tile, or for the one that is interpreted alone: those that need no more may well run again.
  bool goes_on(const Loop::Condition& condition) const {
    const Cells& cells = cells_[condition.value];
    for (std::size_t i = 0; i < cells.values.size(); ++i)
      if (cells.written[i] == cells.iteration && cells.values[i] <= condition.at_most) return true;
    return false;
  }

  void enter(const Step& step, Space& space) const {
    for (std::size_t i = 0; i < step.variables.size(); ++i) {
      const Positions& p = ranges_[step.variables[i]];
      const auto [begin, end] = p.is_active ? std::pair(p.begin, p.end) : std::pair(p.low, p.high);
      space.begins[i] = begin;
      space.counts[i] = end - begin;
      space.at[i] = 0;
    }
    space.offsets = {};
    const auto start = [&](std::size_t slot, ValueId value) {
      for (const Cells::Axis& axis : cells_[value].axes)
        if (const Positions& p = ranges_[axis.variable]; !axis.is_relative && p.is_active)
          space.offsets[slot] += (p.begin - p.low) * axis.stride;
    };
    const Expression& e = *step.expression;
    if (e.out != kNone) start(kOut, e.out);
    for (std::size_t i = 0; i < e.in.size(); ++i) start(kFirst + i, e.in[i]);
  }

  /// Calls f for each combination of positions, with the offsets of all slots.
  template <class F>
  static void each(const Step& step, Space& space, const F& f) {
    const std::size_t depth = step.variables.size();
    for (const std::int64_t count : space.counts)
      if (count <= 0) return;
    while (true) {
      f(space.offsets);
      std::size_t d = depth;
      for (; d > 0; --d) {
        const Offsets& strides = step.strides[d - 1];
        const bool wraps = ++space.at[d - 1] == space.counts[d - 1];
        const std::int64_t moves = wraps ? 1 - space.counts[d - 1] : 1;
        for (std::size_t s = 0; s < kSlots; ++s) space.offsets[s] += moves * strides[s];
        if (!wraps) break;
        space.at[d - 1] = 0;
      }
      if (d == 0) return;
    }
  }

  /// Sets the strides of the index where it is linear in all that moves; says whether it is.
  bool start_index(Step& step, Space& space) {
    const auto moves = [&](Variable v) { return ranges_[v].end - ranges_[v].begin > 1; };
    for (std::size_t i = 0; i < step.variables.size(); ++i) {
      step.strides[i][kElement] = 0;
      if (space.counts[i] <= 1) continue;
      Step::Coefficient& c = step.coefficients[i];
      if (!c.formula || std::ranges::any_of(c.variables, moves)) return false;
      step.strides[i][kElement] = (*c.formula)(scope_);
    }
    space.offsets[kElement] = step.index(scope_);
    return true;
  }

  /// each() with the index evaluated anew for each position.
  template <class F>
  void each_position(Step& step, Space& space, const F& f) {
    for (Offsets& strides : step.strides) strides[kElement] = 0;
    each(step, space, [&](Offsets offsets) {
      for (std::size_t i = 0; i < step.variables.size(); ++i)
        scope_.positions[first_variable_ + step.variables[i]] = space.begins[i] + space.at[i];
      offsets[kElement] = step.index(scope_);
      f(offsets);
    });
    for (std::size_t i = 0; i < step.variables.size(); ++i)
      scope_.positions[first_variable_ + step.variables[i]] = space.begins[i];
  }

  template <class F>
  void each_element(Step& step, Space& space, const F& f) {
    if (start_index(step, space))
      each(step, space, f);
    else
      each_position(step, space, f);
  }

  void run(Step& step) {
    try {
      enter(step, step.space);
      run(step, step.space);
    } catch (const Error& error) {
      fail("'{}'{}: {}", to_string(*step.expression, ir_), place(step, step.space), error.what());
    }
  }

  /// " at _b=0, _q=3": the enclosing loops' positions, and those of the tile.
  std::string place(const Step& step, const Space& space) const {
    std::vector<std::string> texts;
    for (Variable v = 0; v < ranges_.size(); ++v) {
      std::int64_t position = ranges_[v].begin;
      bool known = ranges_[v].is_active;
      for (std::size_t i = 0; i < space.at.size(); ++i)
        if (step.variables[i] == v) position = space.begins[i] + space.at[i], known = true;
      if (known) texts.push_back(fmt::format("{}={}", dependence_.variables()[v], position));
    }
    return texts.empty() ? "" : fmt::format(" at {}", fmt::join(texts, ", "));
  }

  double read(ValueId v, std::int64_t cell) const {
    const Cells& cells = cells_[v];
    const auto at = static_cast<std::size_t>(cell);
    if (cells.written[at] != cells.iteration) fail("%{} is read before it is written", ir_.values[v]);
    return cells.values[at];
  }

  void write(ValueId v, std::int64_t cell, double value) {
    Cells& cells = cells_[v];
    const auto at = static_cast<std::size_t>(cell);
    cells.values[at] = value;
    cells.written[at] = cells.iteration;
  }

  void run(Step& step, Space& space) {
    const Expression& e = *step.expression;
    switch (e.op) {
      case Op::load:
        return each_element(step, space, [&](const Offsets& o) { write(e.out, o[kOut], load(e.memory, o[kElement])); });
      case Op::store:
        return each_element(step, space, [&](const Offsets& o) { store(e.memory, o[kElement], read(e.in[0], o[kFirst])); });
      case Op::integer:
        return each_element(step, space, [&](const Offsets& o) { write(e.out, o[kOut], static_cast<double>(o[kElement])); });
      case Op::integer_i32:
        return each_element(step, space, [&](const Offsets& o) { write(e.out, o[kOut], wrapped(static_cast<std::uint64_t>(o[kElement]))); });
      default: break;
    }
    if (info(e.op).kind == OpClass::lanes) return fold(step, space);
    if (info(e.op).kind == OpClass::segments) return fold_segments(step, space);
    each(step, space, [&](const Offsets& o) {
      std::array<double, kMostOperands> in{};
      for (std::size_t i = 0; i < e.in.size(); ++i) in[i] = read(e.in[i], o[kFirst + i]);
      write(e.out, o[kOut], step.function(in[0], in[1], in[2], in[3], e.imm));
    });
  }

  void fold(const Step& step, Space& space) {
    const Expression& e = *step.expression;
    Cells& out = cells_[e.out];
    Space first = space;
    each(step, first, [&](const Offsets& o) { out.written[static_cast<std::size_t>(o[kOut])] = 0; });
    each(step, space, [&](const Offsets& o) {
      const double x = read(e.in[0], o[kFirst]);
      const bool is_first = out.written[static_cast<std::size_t>(o[kOut])] == 0;
      write(e.out, o[kOut], is_first ? x : step.function(read(e.out, o[kOut]), x, 0, 0, 0));
    });
  }

  /// In the cells of the segments' first lanes, then in all.
  void fold_segments(Step& step, Space& space) {
    const Expression& e = *step.expression;
    const std::int64_t lanes = step.index(scope_);
    const auto lane = static_cast<std::size_t>(
        std::ranges::find_if(step.variables, [&](Variable v) { return dependence_.is_lanes(v); }) - step.variables.begin());
    const auto first_of = [&](const Offsets& o) { return o[kOut] - space.at[lane] % lanes * step.strides[lane][kOut]; };
    Space again = space;
    each(step, space, [&](const Offsets& o) {
      const double x = read(e.in[0], o[kFirst]);
      const bool is_first = space.at[lane] % lanes == 0;
      write(e.out, first_of(o), is_first ? x : step.function(read(e.out, first_of(o)), x, 0, 0, 0));
    });
    space = std::move(again);
    each(step, space, [&](const Offsets& o) { write(e.out, o[kOut], read(e.out, first_of(o))); });
  }

  const LinearIR& ir_;
  const Dependence dependence_;
  std::map<std::string, std::int64_t> symbols_;
  Scope scope_;
  std::size_t first_variable_ = 0;  ///< in the scope
  std::vector<Positions> ranges_;   ///< by variable

  std::vector<Place> path_;
  std::map<ValueId, std::vector<Place>> homes_;
  std::vector<Cells> cells_;  ///< by value
  PreparedBlock program_;

  std::vector<View> views_;  ///< by memory
  std::vector<Tensor> outputs_;
  std::vector<Writers> output_writers_;
  Writers worker_, call_;
  std::uint32_t work_item_ = 0;
  std::uint32_t phase_begin_ = 1;  ///< its first work item
  std::vector<Round> rounds_;      ///< outermost first
  std::int64_t unit_ = 0;          ///< number of the present iteration of the parallel loops
};

}  // namespace

std::vector<Tensor> interpret(const LinearIR& ir, const std::vector<Tensor>& inputs,
                              const std::map<std::string, std::int64_t>& symbols) {
  verify(ir);
  try {
    return Interpreter(ir, inputs, symbols).run();
  } catch (const Error& error) {
    throw Error(fmt::format("interpreting Linear IR @{}: {}", ir.name, error.what()));
  }
}

}  // namespace burin::linear
