// An attention of few queries, as in decoding: it reads all keys and values for little arithmetic. With queries in the
// lanes most lanes would be empty; so each nest has the axis in the lanes along which its operand lies in memory:
//
//     scores    loop _k (rows) { loop _g { lanes _d { q * k }  sum of the lanes } }      heads of a group share the rows
//     softmax   loop _g { lanes _k { ... } }
//     output    loop _g (rows) { lanes _e { loop _k { p * v } } }                      and here the vectors of values
//
// What keys and values are not read for (queries, the heads of a group) are loops inside of an item of work: an item
// reads its keys and values from memory once.

#include <algorithm>

#include "schedule/body_queries.h"
#include "schedule/schedule.h"

namespace burin {
namespace {

/// Vectors of lanes that one iteration computes: with rows of a product about as many sums as registers hold.
constexpr std::int64_t kVectors = 4, kVectorsOfFewRegisters = 2;
/// Rows that are summed across the lanes together: more of them would share few sets of the nearest cache, where rows lie a
/// large power of two apart.
constexpr std::int64_t kFoldedRows = 8;
/// Keys of an item of work: few enough for items to be many, many enough for what each item leaves to be combined.
constexpr std::int64_t kKeyBlock = 256;
/// Keys from one that is read to one that is asked for: memory answers meanwhile, and the second-level cache holds them.
/// Measured: 64 to 256 are alike.
constexpr std::int64_t kKeysAhead = 64;
/// Operands that fill the last cache together: keys, values, and what others leave there.
constexpr std::int64_t kOperandsInCache = 6;
/// The more lanes a product has, the fewer rows: with half of them there are registers for twice as many.
constexpr std::int64_t kWiderOfFewRows = 2;
/// Rows of a product that share its vectors.
constexpr std::int64_t kRows = 4;

class FewQueries {
 public:
  FewQueries(const Graph& body, const AxisMap& axes, const TargetInfo& target, const Schedule& usual)
      : body_(body), axes_(axes), target_(target), schedule_(usual) {}

  Schedule run() {
    find_origins();
    find_independent();
    choose_parallel();
    choose_tiles();
    schedule_.few_queries = true;
    schedule_.lanes_of.resize(body_.node_count());
    for (NodeId id : body_.order()) {
      schedule_.lanes_of[id] = lanes_of(id);
      if (is_product(body_.node(id).op) && schedule_.loop_order.empty()) schedule_.loop_order = axes_.of(body_.node(id).outputs[0]);
    }
    // Heads of a group, whose number is known, innermost: they make good tiles.
    std::ranges::stable_sort(schedule_.loop_order, {}, [&](AxisId a) {
      return has(independent_, a) && axes_.axes[a].extent.as_constant().has_value();
    });
    return std::move(schedule_);
  }

 private:
  void find_independent() {
    independent_ = schedule_.parallel;
    independent_.insert(independent_.end(), schedule_.parallel_inside.begin(), schedule_.parallel_inside.end());
    if (schedule_.lanes_outside) independent_.push_back(schedule_.lane_axis);
  }

  /// The axes of independent iterations that all keys and values have.
  void choose_parallel() {
    schedule_.parallel.clear();
    for (AxisId a : axes_.of(body_.outputs.front()))
      if (has(independent_, a) && all_products_read(a)) schedule_.parallel.push_back(a);
    schedule_.parallel_inside.clear();
    schedule_.lanes_outside = false;
    schedule_.lane_block = schedule_.lane_group = 0;
    schedule_.pack_reads = 0;
    schedule_.online_when = schedule_.few_queries_when = 0;
  }

  bool all_products_read(AxisId a) const {
    return std::ranges::all_of(body_.order(), [&](NodeId id) {
      return !is_product(body_.node(id).op) || has(axes_.of(origins_[body_.node(id).inputs[1]]), a);
    });
  }

  void choose_tiles() {
    const std::int64_t lanes = target_.lanes();
    schedule_.lane_steps = {(target_.vector_registers >= 32 ? kVectors : kVectorsOfFewRegisters) * lanes, lanes};
    schedule_.product_rows = {kRows, kRows / 2, 1};
    schedule_.product_lanes = kWiderOfFewRows * schedule_.lane_steps.front();
    schedule_.taller_tails = false;
    schedule_.folded_rows = {kFoldedRows, kRows, 1};
    schedule_.key_block = kKeyBlock;
    schedule_.keys_ahead = kKeysAhead;
    schedule_.near_operand = target_.l3_bytes / kOperandsInCache;
    schedule_.elementwise_rows = {1};
  }

  std::optional<AxisId> lanes_of(NodeId id) const {
    const Node& node = body_.node(id);
    if (is_product(node.op)) return innermost(node.inputs[1]);
    return innermost(info(node.op).category == OpCategory::reduce ? node.inputs[0] : node.outputs[0]);
  }

  /// The axis along which a value lies in memory, or would: none where it has a number for each row.
  std::optional<AxisId> innermost(ValueId v) const {
    const std::vector<AxisId> own = axes_.of(v);
    for (const std::vector<AxisId>& axes : {axes_.of(origins_[v]), own})
      for (std::size_t i = axes.size(); i-- > 0;)
        if (has(own, axes[i]) && !has(independent_, axes[i])) return axes[i];
    return std::nullopt;
  }

  /// What values are made of element by element: the input with most axes, or the result of a product or a reduction.
  void find_origins() {
    for (ValueId v = 0; v < body_.value_count(); ++v) origins_.push_back(v);
    for (NodeId id : body_.order()) {
      const Node& node = body_.node(id);
      if (is_product(node.op) || info(node.op).category == OpCategory::reduce) continue;
      std::size_t most = 0;
      for (ValueId input : node.inputs) {
        const std::size_t axes = input == kNone ? 0 : axes_.of(origins_[input]).size();
        if (axes <= most) continue;
        most = axes;
        for (ValueId out : node.outputs) origins_[out] = origins_[input];
      }
    }
  }

  const Graph& body_;
  const AxisMap& axes_;
  const TargetInfo& target_;
  Schedule schedule_;
  std::vector<ValueId> origins_;       ///< by value
  std::vector<AxisId> independent_;    ///< axes of independent iterations
};

}  // namespace

Schedule schedule_few_queries(const Graph& body, const AxisMap& axes, const TargetInfo& target, const Schedule& usual) {
  return FewQueries(body, axes, target, usual).run();
}

}  // namespace burin
