#include "linear/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numbers>
#include <set>

#include "burin/error.h"
#include "graph/pieces.h"
#include "linear/analysis.h"
#include "linear/integer_range.h"
#include "linear/integer_sums.h"
#include "linear/words.h"
#include "schedule/body_queries.h"
#include "schedule/merged_axes.h"

namespace burin::linear {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Graph operations that are one Linear IR operation.
const std::map<OpKind, Op>& elementwise_table() {
  static const std::map<OpKind, Op> table = {
      {OpKind::Abs, Op::abs},
      {OpKind::Neg, Op::neg},
      {OpKind::Sqrt, Op::sqrt},
      {OpKind::Rsqrt, Op::rsqrt},
      {OpKind::Reciprocal, Op::reciprocal},
      {OpKind::Square, Op::square},
      {OpKind::Exp, Op::exp},
      {OpKind::Exp2, Op::exp2},
      {OpKind::Log, Op::log},
      {OpKind::Tanh, Op::tanh},
      {OpKind::Sigmoid, Op::sigmoid},
      {OpKind::Erf, Op::erf},
      {OpKind::Relu, Op::relu},
      {OpKind::Silu, Op::silu},
      {OpKind::Softplus, Op::softplus},
      {OpKind::HardSwish, Op::hard_swish},
      {OpKind::Floor, Op::floor},
      {OpKind::Ceil, Op::ceil},
      {OpKind::Round, Op::round},
      {OpKind::Sign, Op::sign},
      {OpKind::Sin, Op::sin},
      {OpKind::Cos, Op::cos},
      {OpKind::Not, Op::logical_not},
      {OpKind::IsNaN, Op::is_nan},
      {OpKind::Add, Op::add},
      {OpKind::Sub, Op::sub},
      {OpKind::Mul, Op::mul},
      {OpKind::Div, Op::div},
      {OpKind::Pow, Op::pow},
      {OpKind::Min, Op::min},
      {OpKind::Max, Op::max},
      {OpKind::PRelu, Op::prelu},
      {OpKind::And, Op::logical_and},
      {OpKind::Or, Op::logical_or},
      {OpKind::Xor, Op::logical_xor},
      {OpKind::Equal, Op::equal},
      {OpKind::Less, Op::less},
      {OpKind::LessOrEqual, Op::less_equal},
      {OpKind::Greater, Op::greater},
      {OpKind::GreaterOrEqual, Op::greater_equal},
      {OpKind::Where, Op::where},
  };
  return table;
}

struct Reduction {
  Op update, fold_lanes;
  double start;
};

Reduction reduction_of(OpKind op) {
  switch (op) {
    case OpKind::ReduceMax: return {Op::update_max, Op::lanes_max, -kInfinity};
    case OpKind::ReduceMin: return {Op::update_min, Op::lanes_min, kInfinity};
    case OpKind::ReduceProd: return {Op::update_prod, Op::lanes_prod, 1};
    default: return {Op::update_sum, Op::lanes_sum, 0};
  }
}

bool is_integer(Precision p) { return !is_float(p) && p != Precision::boolean; }

bool is_view(OpKind op) {
  return op == OpKind::Transpose || op == OpKind::Unsqueeze || op == OpKind::Squeeze || op == OpKind::Expand ||
         op == OpKind::Repeat || op == OpKind::Identity || op == OpKind::Reshape || op == OpKind::Flatten;
}

class Lowering {
 public:
  Lowering(const Graph& body, const AxisMap& axes, const Schedule& schedule, const TargetInfo& target)
      : body_(body), axes_(axes), schedule_(schedule) {
    ir_.name = body.name;
    ir_.lanes = target.lanes();
    ir_.facts = body.facts;
    if (schedule.whole_vectors) assume_whole_vectors();
  }

  LinearIR run() {
    declare_ports();
    nests_ = open_shared_loops();
    for (NodeId id : body_.order()) {
      if (schedule_.few_queries) lane_axis_ = schedule_.lanes_of[id];
      lower_node(id);
    }
    for (std::size_t i = 0; i < body_.outputs.size(); ++i) {
      if (schedule_.few_queries) lane_axis_ = schedule_.lanes_of[body_.value(root_of(body_.outputs[i])).producer];
      store_output(i);
    }
    collect_symbols();
    return std::move(ir_);
  }

 private:
  std::string var(AxisId a) const { return loop_variable(axes_, a); }
  bool is_lane(AxisId a) const { return a == lane_axis_; }

  // ---- ports ----

  void declare_ports() {
    for (std::size_t i = 0; i < body_.inputs.size(); ++i) {
      const Value& v = body_.value(body_.inputs[i]);
      Port port{v.name, v.precision, v.shape, input_strides(i, v.shape)};
      memory_[body_.inputs[i]] = ir_.new_memory({Memory::Kind::input, memory_name(v.name, "in", i),
                                                 static_cast<std::uint32_t>(i), precision_in_memory(v.precision), {}, {}});
      strides_[body_.inputs[i]] = port.strides;
      ir_.inputs.push_back(std::move(port));
    }
    for (std::size_t i = 0; i < body_.outputs.size(); ++i) {
      const Value& v = body_.value(body_.outputs[i]);
      ir_.outputs.push_back({v.name, v.precision, v.shape, dense_strides(v.shape)});
      output_memory_.push_back(ir_.new_memory({Memory::Kind::output, memory_name(v.name, "out", i),
                                               static_cast<std::uint32_t>(i), precision_in_memory(v.precision), {}, {}}));
    }
  }

  static std::string memory_name(const std::string& name, std::string_view prefix, std::size_t i) {
    const bool good = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
    return good ? name : fmt::format("{}{}", prefix, i);
  }

  MemoryId constant_memory(ValueId v) {
    auto [it, fresh] = memory_.try_emplace(v, kNone);
    if (fresh) {
      const Value& value = body_.value(v);
      it->second = ir_.new_memory({Memory::Kind::constant, fmt::format("c{}", ir_.constants.size()),
                                   static_cast<std::uint32_t>(ir_.constants.size()), precision_in_memory(value.precision), {}, {}});
      ir_.constants.push_back(*value.constant);
      strides_[v] = dense_strides(value.shape);
    }
    return it->second;
  }

  /// The element of a tensor at the loop variables: strides times positions, a dimension that is split into several
  /// axes in mixed radix, a dimension of (perhaps) one element standing still.
  Expr index_of(ValueId v, const std::vector<Expr>& strides) const {
    Expr index = 0;
    const Shape& shape = body_.value(v).shape;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      Expr extent = 1, position = 0;
      const auto& list = axes_.dims[v][d];
      for (std::size_t i = list.size(); i-- > 0;) {
        position += position_along(v, list[i]) * extent;
        extent *= axes_.axes[list[i]].extent;
      }
      const bool whole = list.empty() || body_.facts.proves_equal(shape[d], extent);
      index += position * (whole ? strides[d] : select(equal(shape[d], 1), 0, strides[d]));
    }
    return index;
  }

  /// Along lanes that run over axes which the value lacks it repeats.
  Expr position_along(ValueId v, AxisId a) const {
    const Expr position = Expr::symbol(var(a));
    if (a != schedule_.lane_axis) return position;
    const std::vector<AxisId> all = axes_.of(v);
    for (const MergedAxes::Period& p : schedule_.periods)
      if (std::find(all.begin(), all.end(), p.outer) == all.end()) return mod(position, p.elements);
    return position;
  }

  // ---- loops ----

  /// Of an axis that is known (which facts may say alone) all is known.
  void assume_whole_vectors() {
    const Expr elements = ir_.facts.simplify(schedule_.trips.at(schedule_.lane_axis));
    if (!elements.as_constant()) ir_.facts.assume_divides(ir_.lanes, elements, "whole vectors");
  }

  /// The parallel loops, and the lane loop where it encloses all nests; gives the block that the nests go to.
  Block* open_shared_loops() {
    Block* block = &ir_.phases;
    for (AxisId a : schedule_.parallel) block = open_loop(*block, var(a), 0, schedule_.trips[a], 1, true, false);
    const bool has_groups = schedule_.row_group > schedule_.row_block;
    if (schedule_.row_axis)
      block = open_loop(*block, has_groups ? row_groups() : row_blocks(), 0, schedule_.trips[*schedule_.row_axis], schedule_.row_group, true, false);
    if (!schedule_.lanes_outside) return schedule_.row_axis ? block : ensure_parallel(block);
    const std::string lane = var(schedule_.lane_axis), outer = lane + ".b";
    const Expr extent = schedule_.trips[schedule_.lane_axis];
    if (schedule_.lane_block == 0) return open_loop(*ensure_parallel(block), lane, 0, extent, 1, false, true);
    if (schedule_.fetch_next_block) return open_even_blocks(block, lane, extent);
    block = open_lane_blocks(block, lane, extent);
    if (has_groups)
      block = open_blocks_of_group(block, row_groups(), row_blocks(), schedule_.trips[*schedule_.row_axis],
                                   schedule_.row_group, schedule_.row_block);
    const Expr start = Expr::symbol(outer);
    // The last group may hold blocks behind the end.
    const bool whole = body_.facts.proves_divides(std::max(schedule_.lane_group, schedule_.lane_block), extent);
    return open_loop(*block, lane, start, block_end(start, schedule_.lane_block, extent, whole), 1, false, true);
  }

  /// The blocks of the lane axis, in groups where other axes go inside of these.
  Block* open_lane_blocks(Block* block, const std::string& lane, const Expr& extent) {
    const std::string blocks = lane + ".b", groups = lane + ".g";
    if (schedule_.lane_group == 0) return open_loop(*block, blocks, 0, extent, schedule_.lane_block, true, false);
    block = open_loop(*block, groups, 0, extent, schedule_.lane_group, true, false);
    for (AxisId a : schedule_.parallel_inside) block = open_loop(*block, var(a), 0, schedule_.trips[a], 1, true, false);
    return open_blocks_of_group(block, groups, blocks, extent, schedule_.lane_group, schedule_.lane_block);
  }

  /// Blocks of whole vectors, no more than there would be otherwise, of which the last is little shorter: a short block would
  /// ask for a part of the next one only.
  Block* open_even_blocks(Block* block, const std::string& lane, const Expr& extent) {
    const std::string blocks = lane + ".b";
    const Expr count = ir_.define("lane.blocks", ceil_div(extent, schedule_.lane_block));
    const Expr elements = ir_.define("block.vectors", ceil_div(extent, max(1, count) * ir_.lanes)) * ir_.lanes;
    const Expr start = Expr::symbol(blocks) * elements;
    block = open_loop(*block, blocks, 0, count, 1, true, false);
    return open_loop(*block, lane, start, block_end(start, elements, extent, count * elements == extent), 1, false, true);
  }

  /// All groups have as many blocks as the first one; in the last group those that begin behind the end are empty.
  Block* open_blocks_of_group(Block* block, const std::string& groups, const std::string& blocks, const Expr& extent,
                              std::int64_t group, std::int64_t step) {
    const Expr start = Expr::symbol(groups), count = ceil_div(min(extent, group), step);
    return open_loop(*block, blocks, start, start + count * step, step, true, false);
  }

  /// A kernel without a parallel axis still is a phase: one item of work.
  Block* ensure_parallel(Block* block) {
    return schedule_.parallel.empty() ? open_loop(*block, "_one", 0, 1, 1, true, false) : block;
  }

  Block* open_loop(Block& parent, const std::string& variable, Expr begin, Expr end, std::int64_t step, bool parallel,
                   bool lanes) {
    Loop loop = loop_over(variable, std::move(begin), std::move(end), {}, step);
    loop.parallel = parallel;
    loop.lanes = lanes;
    parent.emplace_back(std::move(loop));
    return &parent.back().loop->body();
  }

  /// Where all blocks are whole, no code for a part of one is needed.
  static Expr block_end(const Expr& start, const Expr& block, const Expr& extent, bool whole) {
    return whole ? start + block : min(start + block, extent);
  }

  std::string row_groups() const { return var(*schedule_.row_axis) + ".g"; }
  std::string row_blocks() const { return var(*schedule_.row_axis) + ".b"; }

  Block* open_axis(Block& parent, AxisId a) {
    if (a == schedule_.row_axis) {
      const Expr start = Expr::symbol(row_blocks());
      return open_loop(parent, var(a), start, block_end(start, schedule_.row_block, schedule_.trips[a],
                                                        body_.facts.proves_divides(schedule_.row_group, schedule_.trips[a])),
                       1, false, false);
    }
    return open_loop(parent, var(a), 0, schedule_.trips[a], 1, false, is_lane(a));
  }

  bool is_shared(AxisId a) const {
    if (is_lane(a)) return schedule_.lanes_outside;
    const auto among = [&](const std::vector<AxisId>& list) { return std::find(list.begin(), list.end(), a) != list.end(); };
    return among(schedule_.parallel) || among(schedule_.parallel_inside);
  }

  /// Opens loops for those axes that the shared loops do not run over, the lane axis innermost. Where the schedule orders
  /// loops: those that a product's right operand has outside of all others, which share it.
  Block* open_nest(Block* block, std::vector<AxisId> axes, const std::vector<AxisId>& right_operand = {}) {
    const std::vector<AxisId>& order = schedule_.loop_order;
    const auto place = [&](AxisId a) {
      const bool is_first = !order.empty() && std::find(right_operand.begin(), right_operand.end(), a) != right_operand.end();
      return std::pair(!is_first, std::find(order.begin(), order.end(), a) - order.begin());
    };
    std::ranges::stable_sort(axes, {}, place);
    std::stable_partition(axes.begin(), axes.end(), [&](AxisId a) { return !is_lane(a); });
    std::set<AxisId> seen;
    for (AxisId a : axes)
      if (!is_shared(a) && seen.insert(a).second) block = open_axis(*block, a);
    return block;
  }

  // ---- operands ----

  ValueId root_of(ValueId v) const {
    while (true) {
      const NodeId producer = body_.value(v).producer;
      if (producer == burin::kNone || !is_view(body_.node(producer).op)) return v;
      v = body_.node(producer).inputs[0];
    }
  }

  std::uint32_t emit(Block& block, Expression e) {
    if (e.out == kNone) e.out = ir_.new_value(info(e.op).text);
    const std::uint32_t out = e.out;
    block.emplace_back(std::move(e));
    return out;
  }
  std::uint32_t emit_op(Block& block, Op op, std::vector<std::uint32_t> in, double imm = 0) {
    Expression e;
    e.op = op;
    e.in = std::move(in);
    e.imm = imm;
    return emit(block, std::move(e));
  }
  std::uint32_t emit_fill(Block& block, double imm, std::vector<std::string> over = {}) {
    Expression e;
    e.op = Op::fill;
    e.imm = imm;
    e.over = std::move(over);
    return emit(block, std::move(e));
  }
  void emit_update(Block& block, Op op, std::uint32_t variable, std::vector<std::uint32_t> operands) {
    Expression e;
    e.op = op;
    e.out = variable;
    e.in = {variable};
    e.in.insert(e.in.end(), operands.begin(), operands.end());
    block.emplace_back(std::move(e));
  }

  /// The operand as a value in `block`: loaded, filled, known from the position, or computed by an earlier nest.
  std::uint32_t operand(Block& block, ValueId v) {
    v = root_of(v);
    const Value& value = body_.value(v);
    if (is_words(v)) throw Error(fmt::format("'{}': no kernel that reads {} here", value.name, to_string(value.precision)));
    if (is_integer(value.precision)) keep_exact(v);
    if (auto it = computed_.find(v); it != computed_.end()) return it->second;
    if (value.constant && value.constant->size() == 1) return emit_fill(block, value.constant->at(0));
    if (value.producer == burin::kNone && value.elements && value.elements->size() == 1)
      return emit_integer(block, value.elements->front());
    if (is_range(v)) return emit_integer(block, position(v));
    const Place place = place_of(v);
    return emit_load(block, place.memory, place.start + index_of(v, place.strides));
  }

  std::uint32_t emit_load(Block& block, MemoryId memory, Expr index) {
    Expression e;
    e.op = Op::load;
    e.memory = memory;
    e.index = std::move(index);
    return emit(block, std::move(e));
  }
  void emit_store(Block& block, MemoryId memory, Expr index, std::uint32_t value) {
    block.emplace_back(store_of(memory, std::move(index), value));
  }

  /// Where a value lies: a tensor, or what Slices take of it.
  struct Place {
    MemoryId memory = kNone;
    Expr start = 0;
    std::vector<Expr> strides;
  };
  Place place_of(ValueId v) {
    const Value& value = body_.value(v);
    if (value.producer == burin::kNone) {
      if (!value.constant && !memory_.contains(v)) throw Error(fmt::format("'{}': no kernel that reads shapes", value.name));
      const MemoryId memory = value.constant ? constant_memory(v) : memory_.at(v);
      return {memory, 0, strides_.at(v)};
    }
    const Node& node = body_.node(value.producer);
    if (node.op != OpKind::Slice) throw Error(fmt::format("node '{}': a Slice of what is computed", node.name));
    Place place = place_of(node.inputs[0]);
    for (const PieceRange& r : ranges_of_slice(body_, node)) {
      place.start += r.start * place.strides[r.axis];
      place.strides[r.axis] *= r.step;
    }
    return place;
  }

  // ---- positions ----

  bool is_range(ValueId v) const {
    const NodeId producer = body_.value(v).producer;
    return producer != burin::kNone && body_.node(producer).op == OpKind::Range;
  }

  /// start + delta * i, for the element i of a Range.
  Expr position(ValueId v) const {
    const Node& node = body_.node(body_.value(v).producer);
    const auto known = [&](std::size_t i) {
      const Value& value = body_.value(node.inputs[i]);
      if (!is_integer(value.precision)) throw Error(fmt::format("node '{}': no kernel for a Range of {}", node.name, to_string(value.precision)));
      if (value.constant) return Expr(value.constant->int_at(0));
      if (value.elements) return value.elements->front();
      throw Error(fmt::format("node '{}': '{}' is not known", node.name, value.name));
    };
    return known(0) + known(2) * index_of(v, {Expr(1)});
  }

  std::uint32_t emit_integer(Block& block, Expr e) {
    Expression integer;
    integer.op = Op::integer;
    integer.index = std::move(e);
    return emit(block, std::move(integer));
  }

  void keep_exact(ValueId v) {
    ir_.facts.assume_at_least(kExactIntegers - bounds_.of(v), 0, "integers that f32 holds");
  }

  // ---- integers that are words ----

  /// Whether an integer is computed from tensors, not from positions and known numbers alone (which lie in f32
  /// registers). A product of positions is, too: f32 does not hold it where there are many. So is what linear/integer_range.h
  /// says nothing of, as it seldom is computed of positions.
  bool is_words(ValueId v) {
    v = root_of(v);
    const Value& value = body_.value(v);
    if (!is_integer(value.precision)) return false;
    if (value.constant) return value.constant->size() != 1;
    if (value.producer == burin::kNone) return !(value.elements && value.elements->size() == 1);
    const Node& node = body_.node(value.producer);
    if (node.op == OpKind::Range) return false;
    if (node.op == OpKind::Slice) return is_words(node.inputs[0]);
    return computes_words(node);
  }

  static bool has_no_bounds(OpKind op) {
    switch (op) {
      case OpKind::Mul:
      case OpKind::Square:
      case OpKind::Pow:
      case OpKind::Div:
      case OpKind::Mod:
      case OpKind::Sign:
      case OpKind::Relu:
      case OpKind::PRelu:
      case OpKind::Clip: return true;
      default: return info(op).category == OpCategory::reduce;
    }
  }

  bool computes_words(const Node& node) {
    const auto [known, fresh] = computes_words_.try_emplace(&node, false);
    if (!fresh) return known->second;
    const auto is_result = [&](ValueId v) { return is_integer(body_.value(v).precision); };
    bool result = node.op == OpKind::Cast && is_result(node.outputs[0]) && !is_result(node.inputs[0]) &&
                  body_.value(node.inputs[0]).precision != Precision::boolean;
    result = result || (has_no_bounds(node.op) && is_result(node.outputs[0]));
    for (const ValueId input : node.inputs) result = result || (input != burin::kNone && is_words(input));
    if (!result && is_result(node.outputs[0])) result = is_large(node.outputs[0]);
    for (const ValueId input : node.inputs) result = result || (input != burin::kNone && is_large(input));
    return computes_words_[&node] = result;
  }

  /// An integer that f32 does not hold, whatever the shapes are.
  bool is_large(ValueId v) {
    if (!is_integer(body_.value(v).precision)) return false;
    const auto bound = bounds_.of(root_of(v)).as_constant();
    return bound && *bound > kExactIntegers;
  }

  Words words(Block& block, ValueId v) {
    v = root_of(v);
    const Value& value = body_.value(v);
    const bool wide = value.precision == Precision::i64;
    WordArithmetic arithmetic(ir_, block);
    if (value.precision != Precision::i32 && !wide) throw Error(fmt::format("'{}': no kernel for {}", value.name, to_string(value.precision)));
    if (auto it = computed_words_.find(v); it != computed_words_.end()) return it->second;
    if (value.constant && value.constant->size() == 1) return arithmetic.constant(value.constant->int_at(0), wide);
    if (value.elements && value.elements->size() == 1) return arithmetic.known(value.elements->front(), wide);
    if (!is_words(v)) return arithmetic.from_whole_f32(operand(block, v), wide);
    const Place place = place_of(v);
    const Expr index = place.start + index_of(v, place.strides);
    if (!wide) return {emit_load(block, place.memory, index)};
    const std::uint32_t low = emit_load(block, place.memory, 2 * index);
    return {low, emit_load(block, place.memory, 2 * index + 1)};
  }

  /// The only number that the integer value has, if it is known.
  std::optional<std::int64_t> known_integer(ValueId v) const {
    const Value& value = body_.value(root_of(v));
    if (!is_integer(value.precision)) return std::nullopt;
    if (value.constant && value.constant->size() == 1) return value.constant->int_at(0);
    if (value.elements && value.elements->size() == 1) return value.elements->front().as_constant();
    return std::nullopt;
  }

  /// Computed once, for a Div and for a Mod.
  Words quotient(WordArithmetic& arithmetic, const Node& node, const Words& a, const Words& b) {
    const std::pair of(root_of(node.inputs[0]), root_of(node.inputs[1]));
    const auto found = quotients_.find(of);
    return found != quotients_.end() ? found->second : quotients_[of] = arithmetic.quotient(a, b);
  }

  Words modulo(WordArithmetic& arithmetic, const Node& node, const Words& a, const Words& b) {
    const Words rest = arithmetic.remainder(a, b, quotient(arithmetic, node, a, b));
    const bool truncates = node.int_attribute("fmod", 0) != 0;
    return truncates ? rest : arithmetic.modulo(rest, b, known_integer(node.inputs[1]));
  }

  void lower_power_of_words(Block& block, const Node& node) {
    const ValueId out = node.outputs[0];
    WordArithmetic arithmetic(ir_, block);
    if (is_float(body_.value(out).precision)) {
      const std::uint32_t base = operand(block, node.inputs[0]);
      computed_[out] = emit_op(block, Op::pow, {base, arithmetic.to_f32(words(block, node.inputs[1]))});
    } else if (const auto exponent = known_integer(node.inputs[1]); exponent && *exponent >= 0) {
      computed_words_[out] = arithmetic.power(words(block, node.inputs[0]), static_cast<std::uint64_t>(*exponent));
    } else {
      throw Error(fmt::format("node '{}': no kernel for a Pow of integers whose exponent is not known", node.name));
    }
  }

  void lower_words(const Node& node) {
    const ValueId out = node.outputs[0];
    Block& block = *open_nest(nests_, axes_.of(out));
    const auto gives = [&](const Words& result) { computed_words_[out] = result; };
    WordArithmetic arithmetic(ir_, block);
    const auto word_operand = [&](std::size_t i) { return words(block, node.inputs[i]); };
    const auto a = [&] { return word_operand(0); };
    const auto b = [&] { return word_operand(1); };
    const auto compare = [&](std::uint32_t (WordArithmetic::*f)(const Words&, const Words&), std::size_t x, std::size_t y) {
      const Words left = word_operand(x), right = word_operand(y);
      computed_[out] = (arithmetic.*f)(left, right);
    };
    const auto combine = [&](Words (WordArithmetic::*f)(const Words&, const Words&)) {
      const Words left = a(), right = b();
      gives((arithmetic.*f)(left, right));
    };
    switch (node.op) {
      case OpKind::Add: return combine(&WordArithmetic::add);
      case OpKind::Sub: return combine(&WordArithmetic::sub);
      case OpKind::Mul: return combine(&WordArithmetic::mul);
      case OpKind::Div: {
        const Words left = a(), right = b();
        return gives(quotient(arithmetic, node, left, right));
      }
      case OpKind::Mod: {
        const Words left = a(), right = b();
        return gives(modulo(arithmetic, node, left, right));
      }
      case OpKind::Pow: return lower_power_of_words(block, node);
      case OpKind::Square: return gives(arithmetic.power(a(), 2));
      case OpKind::Sign: return gives(arithmetic.sign(a()));
      case OpKind::Relu: {
        const Words x = a();
        return gives(arithmetic.max(x, arithmetic.constant(0, x.is_wide())));
      }
      case OpKind::PRelu: {
        const Words x = a(), slope = b();
        return gives(arithmetic.select(arithmetic.is_negative(x), arithmetic.mul(slope, x), x));
      }
      case OpKind::Min: return combine(&WordArithmetic::min);
      case OpKind::Max: return combine(&WordArithmetic::max);
      case OpKind::Neg: return gives(arithmetic.negate(a()));
      case OpKind::Abs: return gives(arithmetic.abs(a()));
      case OpKind::Equal: return compare(&WordArithmetic::equal, 0, 1);
      case OpKind::Less: return compare(&WordArithmetic::less, 0, 1);
      case OpKind::Greater: return compare(&WordArithmetic::less, 1, 0);
      case OpKind::LessOrEqual: return compare(&WordArithmetic::not_less, 1, 0);
      case OpKind::GreaterOrEqual: return compare(&WordArithmetic::not_less, 0, 1);
      case OpKind::Where: {
        const std::uint32_t condition = operand(block, node.inputs[0]);
        const Words yes = b(), no = word_operand(2);
        return gives(arithmetic.select(condition, yes, no));
      }
      case OpKind::Clip: {
        Words x = a();
        if (node.inputs.size() > 1 && node.inputs[1] != burin::kNone) x = arithmetic.max(x, b());
        if (node.inputs.size() > 2 && node.inputs[2] != burin::kNone) x = arithmetic.min(x, word_operand(2));
        return gives(x);
      }
      case OpKind::Cast: return lower_cast_of_words(block, node);
      default:
        throw Error(fmt::format("node '{}': no kernel for {} of {}", node.name, info(node.op).name, to_string(body_.value(node.inputs[0]).precision)));
    }
  }

  void lower_cast_of_words(Block& block, const Node& node) {
    const ValueId in = node.inputs[0], out = node.outputs[0];
    const Precision from = body_.value(in).precision, to = body_.value(out).precision;
    const bool wide = to == Precision::i64;
    WordArithmetic arithmetic(ir_, block);
    if (to == Precision::boolean) {
      computed_[out] = arithmetic.is_not_zero(words(block, in));
    } else if (to == Precision::f32) {
      computed_[out] = arithmetic.to_f32(words(block, in));
    } else if (to != Precision::i32 && !wide) {
      throw Error(fmt::format("node '{}': no kernel for a Cast from {} to {}", node.name, to_string(from), to_string(to)));
    } else {
      computed_words_[out] = from == Precision::f32 ? arithmetic.from_f32(operand(block, in), wide) : arithmetic.resized(words(block, in), wide);
    }
  }

  void store_words(Block& block, MemoryId memory, const Expr& index, const Words& value) {
    if (!value.is_wide()) return emit_store(block, memory, index, value.low);
    emit_store(block, memory, 2 * index, value.low);
    emit_store(block, memory, 2 * index + 1, value.high);
  }

  // ---- operations ----

  void lower_node(NodeId id) {
    const Node& node = body_.node(id);
    if (is_view(node.op) || node.op == OpKind::Range || node.op == OpKind::Slice || is_put_together(body_, node.outputs[0])) return;
    switch (info(node.op).category) {
      case OpCategory::reduce: return is_integer(body_.value(node.inputs[0]).precision) ? lower_reduction_of_words(id) : lower_reduction(id);
      case OpCategory::matmul: return lower_product(id);
      default: return computes_words(node) ? lower_words(node) : lower_elementwise(node);
    }
  }

  void lower_elementwise(const Node& node) {
    const ValueId out = node.outputs[0];
    Block* block = open_nest(nests_, axes_.of(out));
    std::vector<std::uint32_t> in;
    for (ValueId v : node.inputs) in.push_back(v == burin::kNone ? kNone : operand(*block, v));
    computed_[out] = emit_elementwise(*block, node, in);
  }

  /// exp2(x - max(x)): the argument is never positive.
  bool is_shifted_by_maximum(ValueId v) const {
    const NodeId producer = body_.value(v).producer;
    if (producer == burin::kNone || body_.node(producer).op != OpKind::Sub) return false;
    const Node& sub = body_.node(producer);
    const NodeId maximum = body_.value(root_of(sub.inputs[1])).producer;
    return maximum != burin::kNone && body_.node(maximum).op == OpKind::ReduceMax &&
           body_.node(maximum).inputs[0] == sub.inputs[0];
  }

  /// What only softmax's precision is asked of: a power whose row is summed, of which it then is a part.
  bool is_softmax_power(const Node& node) const {
    if (node.op == OpKind::Exp2) return is_shifted_by_maximum(node.inputs[0]);
    const auto& users = users_[node.outputs[0]];
    return node.op == OpKind::Exp && is_shifted_by_maximum(node.inputs[0]) && !body_.is_output(node.outputs[0]) &&
           std::any_of(users.begin(), users.end(), [&](NodeId user) { return body_.node(user).op == OpKind::ReduceSum; });
  }

  std::uint32_t emit_softmax_power(Block& block, const Node& node, std::vector<std::uint32_t> in) {
    if (node.op == OpKind::Exp) in = {emit_op(block, Op::mul, {in[0], emit_fill(block, std::numbers::log2e)})};
    return emit_op(block, Op::exp2_softmax, in);
  }

  std::uint32_t emit_elementwise(Block& block, const Node& node, const std::vector<std::uint32_t>& in) {
    if (is_softmax_power(node)) return emit_softmax_power(block, node, in);
    if (auto it = elementwise_table().find(node.op); it != elementwise_table().end())
      return emit_op(block, it->second, in);
    switch (node.op) {
      case OpKind::LeakyRelu: return emit_op(block, Op::leaky_relu, in, node.float_attribute("alpha", 0.01));
      case OpKind::Elu: return emit_op(block, Op::elu, in, node.float_attribute("alpha", 1));
      case OpKind::HardSigmoid: return emit_hard_sigmoid(block, node, in[0]);
      case OpKind::IsInf: return emit_is_inf(block, node, in[0]);
      case OpKind::Mod:
        if (node.int_attribute("fmod", 0) == 0) throw Error(fmt::format("node '{}': no kernel for Mod of floats without fmod", node.name));
        return emit_op(block, Op::fmod, in);
      case OpKind::Gelu:
        return emit_op(block, node.string_attribute("approximate", "none") == "tanh" ? Op::gelu_tanh : Op::gelu, in);
      case OpKind::Clip: {
        std::uint32_t x = in[0];
        if (in.size() > 1 && in[1] != kNone) x = emit_op(block, Op::max, {x, in[1]});
        if (in.size() > 2 && in[2] != kNone) x = emit_op(block, Op::min, {x, in[2]});
        return x;
      }
      case OpKind::Cast: return emit_cast(block, node, in[0]);
      default: throw Error(fmt::format("node '{}': no kernel for {}", node.name, info(node.op).name));
    }
  }

  std::uint32_t emit_hard_sigmoid(Block& block, const Node& node, std::uint32_t x) {
    const double alpha = node.float_attribute("alpha", 0.2), beta = node.float_attribute("beta", 0.5);
    if (beta == 0.5) return emit_op(block, Op::hard_sigmoid, {x}, alpha);
    const std::uint32_t line = emit_op(block, Op::fma, {x, emit_fill(block, alpha), emit_fill(block, beta)});
    return emit_op(block, Op::min, {emit_op(block, Op::max, {line, emit_fill(block, 0)}), emit_fill(block, 1)});
  }

  std::uint32_t emit_is_inf(Block& block, const Node& node, std::uint32_t x) {
    const bool positive = node.int_attribute("detect_positive", 1) != 0, negative = node.int_attribute("detect_negative", 1) != 0;
    if (positive && negative) return emit_op(block, Op::is_inf, {x});
    if (positive || negative) return emit_op(block, Op::equal, {x, emit_fill(block, positive ? kInfinity : -kInfinity)});
    return emit_op(block, Op::less, {x, x});  // never
  }

  std::uint32_t emit_cast(Block& block, const Node& node, std::uint32_t x) {
    const Precision to = body_.value(node.outputs[0]).precision, from = body_.value(node.inputs[0]).precision;
    if (to == from) return x;
    if (to == Precision::boolean) return emit_op(block, Op::to_bool, {x});
    if (!is_float(from) && (to == Precision::f32 || is_integer(to))) return x;  // a whole number in f32 registers already
    throw Error(fmt::format("node '{}': no kernel for a Cast from {} to {}", node.name, to_string(from), to_string(to)));
  }

  /// Names of the variables that a running value's tile spans.
  std::vector<std::string> tile_variables(const std::vector<AxisId>& kept, const std::vector<AxisId>& folded) const {
    std::vector<std::string> out;
    for (AxisId a : kept)
      if (!is_shared(a) || is_lane(a)) out.push_back(var(a));
    for (AxisId a : folded)
      if (is_lane(a)) out.push_back(var(a));
    return out;
  }

  /// Whether a maximum is only ever subtracted from what it is the maximum of, for what is summed (as exponentials): a NaN then
  /// survives in the difference, and its sum spoils all that is computed of it.
  bool shifts_softmax(NodeId maximum) const {
    const Node& node = body_.node(maximum);
    const auto is_shift = [&](NodeId user) {
      const Node& n = body_.node(user);
      return n.op == OpKind::Sub && n.inputs[0] == node.inputs[0] && sums_spoil(n.outputs[0], axes_.reduced[maximum]);
    };
    return std::ranges::all_of(users_[node.outputs[0]], is_shift) && !body_.is_output(node.outputs[0]);
  }

  /// Whether no output is computed of the rows of a value but with sums of them.
  bool sums_spoil(ValueId rows, const std::vector<AxisId>& folded) const {
    std::set<ValueId> nan_in_place = {rows}, hidden, spoilt;
    for (const NodeId id : body_.order()) {
      const Node& n = body_.node(id);
      const auto reads = [&](const std::set<ValueId>& values) { return std::ranges::any_of(n.inputs, [&](ValueId v) { return values.contains(v); }); };
      const bool sums = (n.op == OpKind::ReduceSum || is_product(n.op)) && axes_.reduced[id] == folded;
      if ((keeps_nan(n.op) && reads(spoilt)) || (sums && reads(nan_in_place)))
        spoilt.insert(n.outputs.begin(), n.outputs.end());
      else if (reads(nan_in_place) || reads(hidden))
        (keeps_nan(n.op) && !reads(hidden) ? nan_in_place : hidden).insert(n.outputs.begin(), n.outputs.end());
    }
    const auto is_output = [&](ValueId v) { return body_.is_output(v); };
    return std::ranges::none_of(nan_in_place, is_output) && std::ranges::none_of(hidden, is_output);
  }

  /// Whether the result is NaN wherever an operand is.
  static bool keeps_nan(OpKind op) {
    switch (op) {
      case OpKind::Add:
      case OpKind::Sub:
      case OpKind::Mul:
      case OpKind::Div:
      case OpKind::Reciprocal:
      case OpKind::Exp:
      case OpKind::Exp2:
      case OpKind::Log: return true;
      default: return is_view(op);
    }
  }

  void lower_reduction(NodeId id) {
    const Node& node = body_.node(id);
    const Reduction r = reduction_of(node.op);
    const std::vector<AxisId> kept = axes_.of(node.outputs[0]), &folded = axes_.reduced[id];
    Block* outer = open_nest(nests_, kept);
    std::uint32_t value = emit_fill(*outer, r.start, tile_variables(kept, folded));
    Block* inner = open_nest(outer, folded);
    const Op update = r.update == Op::update_max && shifts_softmax(id) ? Op::update_max_number : r.update;
    emit_update(*inner, update, value, {operand(*inner, node.inputs[0])});
    if (std::any_of(folded.begin(), folded.end(), [&](AxisId a) { return is_lane(a); }))
      value = emit_op(*outer, r.fold_lanes, {value});
    if (node.op == OpKind::ReduceMean) value = emit_op(*outer, Op::div, {value, emit_integer(*outer, folded_elements(axes_, id))});
    computed_[node.outputs[0]] = value;
  }

  // ---- reductions of words ----

  /// Running words, what starts them, and the loops that they run over.
  struct RunningWords {
    Reduction reduction;
    std::vector<std::uint32_t> values;
    Block *outer, *inner;
    bool folds_lanes;
  };
  RunningWords open_running_words(NodeId id, Block* outer, const Reduction& r, std::size_t count) {
    const std::vector<AxisId> kept = axes_.of(body_.node(id).outputs[0]), &folded = axes_.reduced[id];
    RunningWords running{r, {}, outer, nullptr, std::any_of(folded.begin(), folded.end(), [&](AxisId a) { return is_lane(a); })};
    for (std::size_t i = 0; i < count; ++i) running.values.push_back(emit_fill(*outer, r.start, tile_variables(kept, folded)));
    running.inner = open_nest(outer, folded);
    return running;
  }

  /// Takes in an operand each, and gives what they are behind the loops.
  std::vector<std::uint32_t> run_words(const RunningWords& running, const std::vector<std::uint32_t>& operands) {
    std::vector<std::uint32_t> results = running.values;
    for (std::size_t i = 0; i < operands.size(); ++i) emit_update(*running.inner, running.reduction.update, running.values[i], {operands[i]});
    if (running.folds_lanes)
      for (std::uint32_t& value : results) value = emit_op(*running.outer, running.reduction.fold_lanes, {value});
    return results;
  }

  static Reduction reduction_of_words(OpKind op) {
    switch (op) {
      case OpKind::ReduceMax: return {Op::update_max_i32, Op::lanes_max_i32, std::numeric_limits<std::int32_t>::min()};
      case OpKind::ReduceMin: return {Op::update_min_i32, Op::lanes_min_i32, std::numeric_limits<std::int32_t>::max()};
      case OpKind::ReduceProd: return {Op::update_prod_i32, Op::lanes_prod_i32, 1};
      default: return {Op::update_sum_i32, Op::lanes_sum_i32, 0};
    }
  }

  void lower_reduction_of_words(NodeId id) {
    const Node& node = body_.node(id);
    const ValueId out = node.outputs[0];
    Block* outer = open_nest(nests_, axes_.of(out));
    const bool wide = body_.value(out).precision == Precision::i64;
    const bool orders = node.op == OpKind::ReduceMax || node.op == OpKind::ReduceMin;
    if (node.op == OpKind::ReduceL2 || (node.op == OpKind::ReduceProd && wide))
      throw Error(fmt::format("node '{}': no kernel for {} of {}", node.name, info(node.op).name, to_string(body_.value(out).precision)));
    if (node.op == OpKind::ReduceMean)
      computed_words_[out] = mean_of_words(id, outer, wide);
    else if (!wide)
      computed_words_[out] = {single_word(id, outer)};
    else
      computed_words_[out] = orders ? extreme_of_pairs(id, outer) : sum_of_pairs(id, outer);
  }

  std::uint32_t single_word(NodeId id, Block* outer) {
    const Node& node = body_.node(id);
    const RunningWords running = open_running_words(id, outer, reduction_of_words(node.op), 1);
    return run_words(running, {words(*running.inner, node.inputs[0]).low}).front();
  }

  /// Words do not carry; of bytes, the sums of not too many fit (linear/integer_sums.h).
  Words sum_of_pairs(NodeId id, Block* outer) {
    constexpr int kBytes = 4;
    const RunningWords running = open_running_words(id, outer, reduction_of_words(OpKind::ReduceSum), kBytes + 1);
    const Words x = WordArithmetic(ir_, *running.inner).resized(words(*running.inner, body_.node(id).inputs[0]), true);
    std::vector<std::uint32_t> parts;
    for (int place = 0; place < kBytes; ++place) parts.push_back(emit_op(*running.inner, Op::byte_of, {x.low}, place));
    parts.push_back(x.high);
    std::vector<std::uint32_t> sums = run_words(running, parts);
    const std::uint32_t high = sums.back();
    sums.pop_back();
    return WordArithmetic(ir_, *outer).sum_of_bytes(sums, high);
  }

  /// (A sum of i32 may need more than one word on its way to a mean.)
  Words mean_of_words(NodeId id, Block* outer, bool wide) {
    const Words sum = sum_of_pairs(id, outer);
    WordArithmetic arithmetic(ir_, *outer);
    return arithmetic.resized(arithmetic.quotient(sum, arithmetic.known(folded_elements(axes_, id), true)), wide);
  }

  /// That of the higher words, then that of the lower words beside it. Unsigned words are in order where their highest bit
  /// is another.
  Words extreme_of_pairs(NodeId id, Block* outer) {
    const Node& node = body_.node(id);
    const Reduction r = reduction_of_words(node.op);
    const auto with_other_sign = [&](Block& block, std::uint32_t x) {
      WordArithmetic arithmetic(ir_, block);
      return arithmetic.add({x}, arithmetic.constant(std::numeric_limits<std::int32_t>::min(), false)).low;
    };
    RunningWords running = open_running_words(id, outer, r, 1);
    const std::uint32_t high = run_words(running, {words(*running.inner, node.inputs[0]).high}).front();
    running = open_running_words(id, outer, r, 1);
    const Words x = words(*running.inner, node.inputs[0]);
    WordArithmetic inside(ir_, *running.inner);
    const Words candidate = inside.select(inside.equal({x.high}, {high}), {with_other_sign(*running.inner, x.low)}, inside.constant(static_cast<std::int64_t>(r.start), false));
    return {with_other_sign(*outer, run_words(running, {candidate.low}).front()), high};
  }

  void lower_product(NodeId id) {
    const Node& node = body_.node(id);
    const std::vector<AxisId> kept = axes_.of(node.outputs[0]), &folded = axes_.reduced[id];
    Block* outer = open_nest(nests_, kept, axes_.of(root_of(node.inputs[1])));
    const std::uint32_t sum = emit_fill(*outer, 0, tile_variables(kept, folded));
    Block* inner = open_nest(outer, folded);
    const std::uint32_t a = operand(*inner, node.inputs[0]), b = operand(*inner, node.inputs[1]);
    emit_update(*inner, Op::update_fma, sum, {a, b});
    std::uint32_t value = sum;
    if (std::any_of(folded.begin(), folded.end(), [&](AxisId x) { return is_lane(x); }))
      value = emit_op(*outer, Op::lanes_sum, {value});
    computed_[node.outputs[0]] = value;
  }

  /// A piece that is only copied has no axis in common with what is computed of others: its own innermost one lies in the
  /// lanes.
  std::optional<AxisId> lanes_of_copy(ValueId piece) const {
    const std::vector<AxisId> axes = axes_.of(piece);
    const ValueId root = root_of(piece);
    const bool is_copied = !computed_.contains(root) && !computed_words_.contains(root);
    const bool has_lanes = std::find(axes.begin(), axes.end(), schedule_.lane_axis) != axes.end();
    const auto& last = axes_.dims[piece].empty() ? std::vector<AxisId>{} : axes_.dims[piece].back();
    if (!is_copied || has_lanes || schedule_.lanes_outside || last.empty() || is_shared(last.back())) return lane_axis_;
    return last.back();
  }

  void store_output(std::size_t i) {
    const auto lanes = lane_axis_;
    for (const StoredPiece& piece : stored_pieces(body_, body_.outputs[i])) {
      lane_axis_ = lanes_of_copy(piece.value);
      std::vector<Expr> strides = ir_.outputs[i].strides;
      Block* block = open_nest(nests_, axes_.of(piece.value));
      Expr index = 0;
      if (!piece.is_whole) {
        index = piece.range.start * strides[piece.range.axis];
        strides[piece.range.axis] *= piece.range.step;
      }
      index += index_of(piece.value, strides);
      if (is_integer(body_.value(piece.value).precision)) {
        store_words(*block, output_memory_[i], index, words(*block, piece.value));
      } else {
        emit_store(*block, output_memory_[i], std::move(index), operand(*block, piece.value));
      }
      lane_axis_ = lanes;
    }
  }

  /// All symbols that anything mentions, loop variables left out.
  void collect_symbols() {
    std::set<std::string> names;
    auto add = [&](const Expr& e) {
      for (const std::string& s : e.symbols())
        if (s.front() != '_') names.insert(s);
    };
    for (const auto* ports : {&ir_.inputs, &ir_.outputs})
      for (const Port& p : *ports) {
        for (const Expr& e : p.shape) add(e);
        for (const Expr& e : p.strides) add(e);
      }
    for (const auto& [name, e] : ir_.definitions) add(e);
    for_each_loop(static_cast<const Block&>(ir_.phases), [&](const Loop& l) { add(l.begin), add(l.end); });
    for_each_expression(static_cast<const Block&>(ir_.phases), [&](const Expression& e) { add(e.index); });
    for (const Facts::Check& c : ir_.facts.checks()) add(c.left), add(c.right);
    for (const auto& [name, e] : ir_.definitions) names.erase(name);
    ir_.symbols.assign(names.begin(), names.end());
  }

  const Graph& body_;
  const AxisMap& axes_;
  const Schedule& schedule_;
  LinearIR ir_;
  std::optional<AxisId> lane_axis_ = schedule_.lane_axis;  ///< of the nest that is being made
  std::vector<std::vector<NodeId>> users_ = body_.users();
  Block* nests_ = nullptr;
  std::map<ValueId, MemoryId> memory_;
  std::map<ValueId, std::vector<Expr>> strides_;
  std::vector<MemoryId> output_memory_;
  std::map<ValueId, std::uint32_t> computed_;
  std::map<ValueId, Words> computed_words_;
  std::map<std::pair<ValueId, ValueId>, Words> quotients_;  ///< by dividend and divisor
  std::map<const Node*, bool> computes_words_;
  IntegerBounds bounds_{body_};
};

}  // namespace

std::string loop_variable(const AxisMap& axes, AxisId axis) {
  std::string name = "_";
  for (char c : axes.axes[axis].name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') name += c;
  // Two axes of the same extent (queries and keys) are still two loops.
  for (AxisId a = 0; a < axis; ++a)
    if (axes.axes[a].name == axes.axes[axis].name) return fmt::format("{}{}", name, axis);
  return name;
}

LinearIR lower(const Graph& body, const AxisMap& axes, const Schedule& schedule, const TargetInfo& target) {
  return Lowering(body, axes, schedule, target).run();
}

}  // namespace burin::linear
