#include "schedule/schedule.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "burin/error.h"
#include "graph/pieces.h"
#include "schedule/body_queries.h"
#include "schedule/merged_axes.h"

namespace burin {
namespace {

/// Vectors of lanes that an element-wise loop computes at once: enough to hide latencies.
constexpr std::int64_t kElementwiseVectors = 4;
/// Vectors of a panel of columns that no cache has: more of each row at once, as memory likes it, and few enough that the
/// running values of all columns stay in registers. (A norm over channels takes three quarters of the time of 4.)
constexpr std::int64_t kPanelVectors = 8;
/// Elements of one item of work of a plain element-wise kernel: small enough to balance threads, large enough that
/// setting up its pointers does not show.
constexpr std::int64_t kElementwiseBlock = 16384;
/// The same where what is read in part repeats: the nearest cache has room for a copy as long as that and for all else. (Of
/// 1024 rows of 16 elements in the second-level cache, blocks of 2048 take a fifth more time.)
constexpr std::int64_t kRepeatingBlock = 1024;
/// Elements of a row of which the next one is prefetched while it is gone over for the second time: a few rows of
/// inputs and results have to fit in the nearest cache.
constexpr std::int64_t kPrefetchedRow = 3072;
/// Elements of a row below which rows, not their elements, lie in the lanes: of a row that is folded, and of one that is not.
constexpr std::int64_t kShortRow = 64;
constexpr std::int64_t kFewElements = 8;
/// Rows that are folded side by side, of those that are left over, and those of an item of work. (3 and 2 as well, for which
/// compilation takes a fourth longer, change little.)
constexpr std::int64_t kRowsAtOnce = 16, kLeftRowsAtOnce = 4, kRowsOfItem = 32;
/// Elements of the longest of such rows. The folds of a longer one are few beside its elements.
constexpr std::int64_t kSideBySideRow = 32;
/// Vectors of packed rows that are computed at once: each waits for what is folded of it.
constexpr std::int64_t kPackedVectors = 8;
/// Rows of an item of work that are staggered, the first and last of which lack neighbours (items of 8 rows of 1000 elements take
/// a tenth longer from memory, those of 32 a tenth less, but are few for many threads); elements of the longest of such rows: the
/// nearest cache has two, beside what comes from far away.
constexpr std::int64_t kStaggeredRows = 16, kStaggeredRow = 1024;
/// Rows of an item of work, and elements of such at most, where a tensor lies across the lanes in memory: a tile of rows, and as
/// many elements as one can read of it before nearer caches forget the others. Where no cache has them it is what can be asked
/// for while the item in front is computed. (384 and 512 elements take as long from memory, 1024 and 32 rows 5 to 10 % longer.)
constexpr std::int64_t kTransposedRows = 16, kTransposedElements = 256;
/// What an element of a row in the lanes costs, transposes included, where one along the lanes is 3.
constexpr std::int64_t kTransposedCost = 4, kElementCost = 3;
/// Rows by which a loop down columns asks early for what is in no cache.
constexpr std::int64_t kRowsAhead = 8;
/// Elements by which a loop along rows does: 16 KB. The nearest cache can wait for too few lines at once to keep memory
/// busy during long formulas; the second one can. (GeGLU of 4096 x 3072: 1.8 to 1.2 times as long as c = a + b.)
constexpr std::int64_t kElementsAhead = 4096;
/// Columns of which the nearest cache has the running values while their rows are read one after the other. (A mean of 512
/// rows of 768 takes two thirds of the time of panels.)
constexpr std::int64_t kColumns = 2048;
/// Columns whose panels follow one another in an item of work: of all but one the stores go along with what is computed.
constexpr std::int64_t kGroupOfPanels = 1024;
/// Items of work that are enough to keep threads even.
constexpr std::int64_t kEnoughItems = 16;
/// The part of the second-level cache that an input may take of an item of work, so that the next one's fits, too.
constexpr std::int64_t kCacheOfItem = 4;
/// Keys of one step of the online softmax: 64 to 256 measure the same.
constexpr std::int64_t kKeyBlock = 128;

/// The part of the second-level cache that a query of a block may take before blocks of keys are better than score rows.
/// Measured where it has 1 MB: they cross between 30 and 50 KB a query, for 24 and 48 queries, heads of 40 and 64.
constexpr std::int64_t kCacheOfQuery = 22;

/// Rows of one item of work of a product with a weight: whole tiles of 8, 6 and 4, few enough to keep threads even.
constexpr std::int64_t kRowBlock = 48;
/// Rows that go together: a weight, which mostly comes from far away, is read once for all of them, panel by panel, and
/// they are read again for each panel, from a cache.
constexpr std::int64_t kRowGroup = 10 * kRowBlock;

/// The part of the second-level cache that a panel of a weight may take if the next one is brought meanwhile: both have to
/// fit, and rows. (2 MB, 34 rows: a layer with panels of 590 KB takes 0.7 of the time, one with 930 KB 1.1.)
constexpr std::int64_t kCacheOfPanel = 3;

/// Blocks of lanes after which the axes come that share a matrix: few, so that their part of the matrix stays in a cache;
/// more than one, because whatever does not share it (keys and values of a head) is read again for each group.
constexpr std::int64_t kBlocksInGroup = 8;

/// A copy of keys and values costs about as much as reading them some times from where they lie far apart (and share few
/// sets of the cache): it pays for this many blocks of queries.
constexpr std::int64_t kReadsThatPayCopy = 20;

/// What a multiply-add costs in the schedule of few queries, in percent of one in whole tiles of queries: where rows of
/// keys are folded across the lanes, and where lanes are keys or columns of values. Beside it each query costs as much as
/// some keys more. Measured with heads of 64 and 128, 16 to 1000 keys; what that says of 1 to 100 queries is true within 5 %.
constexpr std::int64_t kFoldedCost = 140, kRowCost = 104, kKeysOfQuery = 4;
constexpr std::int64_t kPercent = 100, kQuarters = 4;

/// Multiply-adds that must be on their way at once to keep two units of a latency of four cycles busy.
constexpr std::int64_t kIndependentSums = 8;

struct ProductTile {
  std::int64_t vectors, rows;
};

/// The register tile of a product: rows x vectors of accumulators beside `vectors` registers for one operand and one
/// for the other, in all registers but the few that the loop around it needs.
ProductTile product_tile(const TargetInfo& target) {
  return target.vector_registers >= 32 ? ProductTile{3, 8} : ProductTile{3, 4};
}

/// The same where the columns are a known number: of two shapes that are equally fast the one that fills up fewer
/// vectors at the end.
ProductTile product_tile_for(std::int64_t columns, const TargetInfo& target) {
  const ProductTile wide = target.vector_registers >= 32 ? ProductTile{4, 6} : ProductTile{2, 6};
  const auto padded = [&](const ProductTile& tile) {
    const std::int64_t width = tile.vectors * target.lanes();
    return (columns + width - 1) / width * width;
  };
  const ProductTile usual = product_tile(target);
  return padded(wide) < padded(usual) ? wide : usual;
}

class Scheduler {
 public:
  Scheduler(const Graph& body, const AxisMap& axes, const TargetInfo& target, const ScheduleOptions& options)
      : body_(body), axes_(axes), target_(target), options_(options) {
    for (NodeId id : body.order()) {
      if (is_product(body.node(id).op)) products_.push_back(id);
      const auto& reduced = axes.reduced[id];
      if (info(body.node(id).op).category == OpCategory::reduce || is_product(body.node(id).op)) anchors_.push_back(id);
      reduced_.insert(reduced.begin(), reduced.end());
    }
    for (ValueId output : body.outputs)
      for (const StoredPiece& piece : stored_pieces(body, output)) results_.push_back(piece.value);
  }

  Schedule run() {
    schedule_.lane_axis = lane_axis();
    transposed_axis_ = transposed_axis();
    choose_trips();
    if (transposed_axis_)
      choose_transposed_rows();
    else
      choose_rows_or_elements();
    schedule_.lanes_outside = is_common(schedule_.lane_axis);
    choose_parallel();
    choose_tiles();
    if (options_.brgemm_executor && !products_.empty()) choose_executor();
    return schedule_;
  }

 private:
  std::set<AxisId> domain(NodeId id) const {
    std::set<AxisId> out(axes_.reduced[id].begin(), axes_.reduced[id].end());
    for (ValueId v : body_.node(id).outputs)
      for (AxisId a : axes_.of(v)) out.insert(a);
    return out;
  }

  /// Every reduction and product runs over the axis, none folds it, and every result has it: iterations along it are
  /// independent.
  bool is_common(AxisId a) const {
    if (reduced_.count(a) != 0) return false;
    for (NodeId id : anchors_)
      if (domain(id).count(a) == 0) return false;
    return std::all_of(results_.begin(), results_.end(), [&](ValueId v) { return has_whole(v, a); });
  }

  /// Not so where the value's dimension may be one element and the axis more: iterations would write the same element.
  bool has_whole(ValueId v, AxisId a) const {
    for (std::size_t d = 0; d < axes_.dims[v].size(); ++d) {
      const auto& list = axes_.dims[v][d];
      if (std::find(list.begin(), list.end(), a) == list.end()) continue;
      Expr extent = 1;
      for (AxisId each : list) extent *= axes_.axes[each].extent;
      return body_.facts.proves_equal(body_.value(v).shape[d], extent);
    }
    return false;
  }

  /// Attention: the queries, the rows of the first product, which all that follows shares. Otherwise the innermost
  /// axis of the widest output: it has stride 1. (Where only scalars are computed, any axis: no loop runs over it.)
  AxisId lane_axis() const {
    if (const auto queries = query_axis(); queries && is_common(*queries)) return *queries;
    const std::vector<AxisId> widest = widest_value_axes();
    return widest.empty() ? 0 : widest.back();
  }

  /// None where there is one query.
  std::optional<AxisId> query_axis() const {
    if (products_.size() < 2) return std::nullopt;
    const Node& first = body_.node(products_.front());
    const auto perm = first.ints_attribute("perm_a");
    const auto& dims = axes_.dims[first.inputs[0]];
    const std::size_t row = dims.size() - 2;
    const auto& list = dims[perm.empty() ? row : static_cast<std::size_t>(perm[row])];
    return list.empty() ? std::nullopt : std::optional(list.back());
  }

  /// Of several that are as wide, those whose innermost axis most values have, where nothing is multiplied.
  std::vector<AxisId> widest_value_axes() const {
    std::vector<AxisId> widest;
    auto consider = [&](ValueId v) {
      auto all = axes_.of(v);
      const bool is_as_wide = !all.empty() && all.size() == widest.size() && all.back() != widest.back() && products_.empty();
      if (all.size() > widest.size() || (is_as_wide && values_with(all.back()) > values_with(widest.back()))) widest = std::move(all);
    };
    for (ValueId v : results_) consider(v);
    for (NodeId id : anchors_)
      if (!is_product(body_.node(id).op)) consider(body_.node(id).inputs[0]);
    return widest;
  }

  std::ptrdiff_t values_with(AxisId a) const {
    std::ptrdiff_t count = 0;
    for (ValueId v = 0; v < body_.value_count(); ++v) count += has(axes_.of(v), a) ? 1 : 0;
    return count;
  }

  /// A product with a weight that is known at compile time, and no other reduction: its columns lie in the lanes, blocks
  /// of them are the parallel work, and its rows are tiled.
  bool is_weight_product() const {
    if (products_.size() != 1 || anchors_.size() != 1) return false;
    const ValueId weight = body_.node(products_.front()).inputs[1];
    const std::vector<AxisId> axes = axes_.of(weight);
    return body_.is_constant(weight) && std::find(axes.begin(), axes.end(), schedule_.lane_axis) != axes.end();
  }

  /// The axis of the rows of a group whose rows are short, if that axis may lie in the lanes: all that is folded is a row.
  std::optional<AxisId> row_axis_for_lanes() const {
    const std::vector<AxisId> widest = widest_value_axes();
    if (!products_.empty() || widest.size() < 2) return std::nullopt;
    const AxisId elements = widest.back(), rows = widest[widest.size() - 2];
    const bool folds_rows = std::all_of(reduced_.begin(), reduced_.end(), [&](AxisId a) { return a == elements; });
    if (!folds_rows || !is_common(rows)) return std::nullopt;
    return rows;
  }

  /// Of an element-wise group the axis that is innermost in an input or output whose lanes are further apart.
  std::optional<AxisId> transposed_axis() const {
    if (!anchors_.empty() || !is_common(schedule_.lane_axis)) return std::nullopt;
    for (const auto* values : {&body_.inputs, &results_})
      for (const ValueId v : *values) {
        const std::vector<AxisId> axes = axes_.of(v);
        if (has(axes, schedule_.lane_axis) && axes.back() != schedule_.lane_axis && is_common(axes.back())) return axes.back();
      }
    return std::nullopt;
  }

  /// Blocks of it are rows that are tiled, so that square tiles are transposed between memory and lanes.
  void choose_transposed_rows() {
    schedule_.row_axis = transposed_axis_;
    schedule_.row_block = schedule_.row_group = kTransposedRows;
  }

  /// Short rows leave most lanes empty, and each of them waits for what it folds. Where nothing is folded only very short
  /// ones lose by that. Rows that are known to fill the lanes are folded side by side, longer ones staggered. (Many rows at
  /// once are long code: of rows of any length it is a variant only for those of one vector, which memory waits for.)
  void choose_rows_or_elements() {
    const auto rows = row_axis_for_lanes();
    if (!rows || (anchors_.empty() && merges_rows())) return;
    const Expr elements = axes_.axes[schedule_.lane_axis].extent;
    const Expr fits_side_by_side = less_equal(elements, kSideBySideRow);
    const Expr is_filled = fills_lanes(elements) * (elements.as_constant() ? Expr(1) : 1 - fits_side_by_side);
    const Expr is_short = less(elements, anchors_.empty() ? kFewElements : kShortRow) * (1 - is_filled);
    rows_in_lanes_ = options_.rows == RowForm::in_lanes || (is_short == Expr(1) && options_.rows != RowForm::packed);
    const Expr side_by_side = elements.as_constant() ? fits_side_by_side * is_filled : Expr(0);
    if (!options_.stream && !options_.rows && !(side_by_side == Expr(1))) schedule_.packed_when = packs_rows(*rows);
    const Expr staggered = !folds(schedule_.lane_axis) ? Expr(0) : less(kSideBySideRow, elements) * less_equal(elements, kStaggeredRow) * (1 - is_short);
    if (rows_in_lanes_) {
      short_axis_ = schedule_.lane_axis;  // its elements lie side by side: one item of work has all of them
      schedule_.lane_axis = *rows;
      choose_trips();
      return;
    }
    schedule_.side_by_side = side_by_side == Expr(1) || options_.rows == RowForm::side_by_side;
    schedule_.staggered = options_.rows == RowForm::staggered;  // (not all groups can be: it is never the only variant)
    if (options_.rows == RowForm::side_by_side) schedule_.trips[schedule_.lane_axis] = target_.lanes();
    if (schedule_.side_by_side || schedule_.staggered) {
      schedule_.row_axis = *rows;
      schedule_.row_block = schedule_.row_group = schedule_.side_by_side ? kRowsOfItem : kStaggeredRows;
      return;
    }
    schedule_.rows_when = is_short;
    schedule_.side_by_side_when = equal(elements, target_.lanes()) * fills_lanes(target_.lanes()) * less_equal(kRowsOfItem, axes_.axes[*rows].extent);
    schedule_.staggered_when = staggered;
    schedule_.packed_rows = options_.rows == RowForm::packed;
  }

  /// Where rows are so short that several fill a vector, and dense. (One alone is no faster than in a tile that is transposed.)
  Expr packs_rows(AxisId rows) const {
    const Expr elements = axes_.axes[schedule_.lane_axis].extent;
    const std::optional<Expr> dense = when_rows_are_dense(body_, axes_, rows, schedule_.lane_axis);
    if (!dense || !folds(schedule_.lane_axis)) return 0;
    return *dense * less_equal(2 * elements, target_.lanes());
  }

  /// Rows that are one where they are dense.
  bool merges_rows() const { return !(schedule_.trips[schedule_.lane_axis] == axes_.axes[schedule_.lane_axis].extent); }

  bool folds(AxisId a) const { return reduced_.count(a) != 0; }

  /// Whether lanes of elements are empty so seldom that it costs less than transposes.
  Expr fills_lanes(const Expr& elements) const {
    const Expr lanes = ceil_div(elements, target_.lanes()) * target_.lanes();
    return !folds(schedule_.lane_axis) || target_.mask_registers == 0 ? Expr(0) : less_equal(kElementCost * lanes, kTransposedCost * elements);
  }

  /// Rows that are known to be long gain nothing from more elements.
  void choose_trips() {
    const std::optional<std::int64_t> row = axes_.axes[schedule_.lane_axis].extent.as_constant();
    const bool merges = products_.empty() && (!row || *row < kLongRow || transposed_axis_);
    const bool repeats = anchors_.empty() && is_common(schedule_.lane_axis) && !transposed_axis_;
    MergedAxes merged = merges ? merge_axes(body_, axes_, schedule_.lane_axis, repeats) : separate_axes(axes_);
    schedule_.trips = std::move(merged.trips);
    schedule_.periods = std::move(merged.periods);
    if (transposed_axis_) merge_rows(*transposed_axis_);
  }

  /// The loop over them takes over what lies around them, too. (No axis lies around both lanes and rows in all values.)
  void merge_rows(AxisId rows) {
    const std::vector<Expr> trips = merge_axes(body_, axes_, rows, false).trips;
    for (AxisId a = 0; a < trips.size(); ++a)
      if (!(trips[a] == axes_.axes[a].extent)) schedule_.trips[a] = trips[a];
  }

  void choose_parallel() {
    if (is_weight_product()) return choose_row_blocks();
    for (AxisId a : axes_.of(results_.front()))
      if (a != schedule_.lane_axis && a != short_axis_ && a != schedule_.row_axis && is_common(a))
        (shares_matrix(a) ? schedule_.parallel_inside : schedule_.parallel).push_back(a);
  }

  /// An input with a value for each element of the lane axis and of an axis that is folded (a mask of [B, 1, S, S]), and
  /// none of its own for each element of `a`: one after the other along `a` read the same block of it.
  bool shares_matrix(AxisId a) const {
    if (!schedule_.lanes_outside) return false;
    return std::any_of(body_.inputs.begin(), body_.inputs.end(), [&](ValueId input) {
      const std::vector<AxisId> has = axes_.of(input);
      const auto among = [&](AxisId axis) { return std::find(has.begin(), has.end(), axis) != has.end(); };
      return among(schedule_.lane_axis) && !among(a) &&
             std::any_of(has.begin(), has.end(), [&](AxisId axis) { return reduced_.count(axis) != 0; });
    });
  }

  /// The innermost axis of the rows; others, if any, are parallel.
  void choose_row_blocks() {
    for (AxisId a : axes_.of(results_.front())) {
      if (a == schedule_.lane_axis || !is_common(a)) continue;
      if (schedule_.row_axis) schedule_.parallel.push_back(*schedule_.row_axis);
      schedule_.row_axis = a;
      schedule_.row_block = kRowBlock;
      schedule_.row_group = kRowGroup;
    }
    // The last of several groups may have a few rows, and items that have none.
    if (schedule_.row_axis) schedule_.even_when = less_equal(axes_.axes[*schedule_.row_axis].extent, kRowGroup);
    schedule_.prefetched_panel = target_.l2_bytes / kCacheOfPanel / static_cast<std::int64_t>(sizeof(float));
  }

  /// Whether the score rows of a block of queries, with the keys and values that they come from, leave the second-level
  /// cache by so much that each query (the more of them share keys and values, the less) waits for what lies behind it:
  /// score rows are passed over several times, blocks of keys only once.
  Expr leave_cache() const {
    const Expr of_key = depth() + columns() + (1 + own_matrices()) * schedule_.lane_block;
    return less(target_.l2_bytes / kCacheOfQuery * schedule_.lane_block, keys() * of_key * static_cast<std::int64_t>(sizeof(float)));
  }

  Expr extent(const std::vector<AxisId>& axes) const {
    Expr product = 1;
    for (AxisId a : axes) product *= axes_.axes[a].extent;
    return product;
  }
  Expr depth() const { return extent(axes_.reduced[products_.front()]); }
  Expr keys() const { return extent(axes_.reduced[products_.back()]); }
  /// Of the values of a head.
  Expr columns() const {
    const NodeId values = products_.back();
    std::vector<AxisId> columns = axes_.of(body_.node(values).inputs[1]);
    std::erase_if(columns, [&](AxisId a) { return has(axes_.reduced[values], a) || is_common(a); });
    return extent(columns);
  }

  /// Inputs with a value of their own for each query, key and item of work: transposed, they lie beside the score rows.
  std::int64_t own_matrices() const {
    const std::vector<AxisId>& keys = axes_.reduced[products_.back()];
    return std::count_if(body_.inputs.begin(), body_.inputs.end(), [&](ValueId input) {
      const std::vector<AxisId> axes = axes_.of(input);
      const auto names = [&](AxisId a) { return has(axes, a); };
      return names(schedule_.lane_axis) && std::any_of(keys.begin(), keys.end(), names) &&
             std::all_of(schedule_.parallel_inside.begin(), schedule_.parallel_inside.end(), names);
    });
  }

  /// Whether inputs and outputs together leave the last cache, and vectors of outputs are whole (unaligned ones cannot be
  /// written past it).
  Expr leave_all_caches() const {
    Expr bytes = 0, whole = 1;
    const auto bytes_of = [&](ValueId v) {
      Expr elements = 1;
      for (const Expr& e : body_.value(v).shape) elements *= e;
      return elements * static_cast<std::int64_t>(size_of(body_.value(v).precision));
    };
    for (ValueId v : body_.inputs) bytes += bytes_of(v);
    for (ValueId v : body_.outputs) {
      bytes += bytes_of(v);
      whole *= is_aligned(v);
    }
    if (only_folds_columns()) whole *= are_enough(kColumns);
    return select(less(target_.l3_bytes, bytes), whole, 0);
  }

  /// Whether items of work with so many columns are.
  Expr are_enough(std::int64_t columns) const {
    Expr items = ceil_div(schedule_.trips[schedule_.lane_axis], columns);
    for (AxisId a : schedule_.parallel) items *= schedule_.trips[a];
    return less_equal(kEnoughItems, items);
  }

  /// Whether an output's lanes are elements of the lane axis: then is_aligned says that the axis has whole vectors.
  bool stores_lanes() const {
    return std::ranges::any_of(body_.outputs, [&](ValueId v) {
      const std::vector<AxisId> axes = axes_.of(v);
      return !axes.empty() && axes.back() == schedule_.lane_axis && stored_pieces(body_, v).size() == 1;
    });
  }

  /// Whether the lanes of an output begin at multiples of a vector.
  Expr is_aligned(ValueId output) const {
    const Shape& shape = body_.value(output).shape;
    const auto is_multiple = [&](const Expr& e) { return equal(mod(e, target_.lanes()), 0); };
    const std::vector<StoredPiece> pieces = stored_pieces(body_, output);
    if (pieces.size() == 1) return is_multiple(elements_at_once(output));
    Expr aligned = is_multiple(shape.back());
    for (const StoredPiece& piece : pieces)
      if (piece.range.step == 1 && piece.range.axis + 1 == shape.size()) aligned *= is_multiple(piece.range.start);
    return aligned;
  }

  /// Of the innermost dimension, and of those that the lanes run over with it.
  Expr elements_at_once(ValueId v) const {
    const std::vector<AxisId> axes = axes_.of(v);
    if (!axes.empty() && axes.back() == schedule_.lane_axis) return schedule_.trips[schedule_.lane_axis];
    const Shape& shape = body_.value(v).shape;
    return shape.empty() ? Expr(1) : shape.back();
  }

  /// Rows that are left over are one tile where they are all that the product's time goes to.
  std::vector<std::int64_t> product_rows(std::int64_t rows) const {
    if (!is_weight_product()) return descending({rows, rows / 2, 1});
    std::vector<std::int64_t> all;
    for (; rows >= 1; --rows) all.push_back(rows);
    return all;
  }

  void choose_tiles() {
    const std::int64_t lanes = target_.lanes();
    schedule_.masked_tiles = target_.mask_registers > 0;
    const std::optional<std::int64_t> columns = axes_.axes[schedule_.lane_axis].extent.as_constant();
    const ProductTile tile = is_weight_product() && columns ? product_tile_for(*columns, target_) : product_tile(target_);
    if (!products_.empty()) {
      schedule_.product_rows = product_rows(options_.product_rows.value_or(tile.rows));
      schedule_.taller_tails = !is_weight_product();  // these have a tile for each number of rows
      schedule_.lane_steps.clear();
      for (std::int64_t v = options_.lane_vectors.value_or(tile.vectors); v >= 1; --v) schedule_.lane_steps.push_back(v * lanes);
      schedule_.elementwise_rows = {2, 1};
    } else {
      schedule_.product_rows = {1};
      schedule_.elementwise_rows = {1};
      schedule_.prefetched_row = kPrefetchedRow;
      schedule_.fetch_next_block = options_.stream && transposed_axis_;
      if (!schedule_.fetch_next_block) {
        schedule_.rows_ahead = kRowsAhead;
        schedule_.elements_ahead = kElementsAhead;
      }
      schedule_.fetched_item = target_.l2_bytes / kCacheOfItem / static_cast<std::int64_t>(sizeof(float));
      schedule_.recompute = true;
      schedule_.moments_at_once = options_.stream && !anchors_.empty();
      schedule_.stream = options_.stream;
      if (!rows_in_lanes_) schedule_.stream_when = leave_all_caches();
      schedule_.side_by_side_when *= schedule_.stream_when;
      schedule_.whole_vectors = schedule_.stream && stores_lanes();
      if (goes_over_columns()) schedule_.delay_when = schedule_.stream_when * are_enough(kGroupOfPanels);
      const bool one_vector = rows_in_lanes_ || transposed_axis_ || schedule_.side_by_side || schedule_.staggered;
      schedule_.lane_steps = schedule_.packed_rows ? std::vector{lanes} : one_vector ? std::vector{lanes, lanes} : descending({elementwise_vectors() * lanes, lanes});
      if (schedule_.side_by_side) schedule_.elementwise_rows = {kRowsAtOnce, kLeftRowsAtOnce, 1};
      if (options_.rows == RowForm::side_by_side) schedule_.elementwise_rows = {kRowsAtOnce, 1};  // (few are left over)
      if (schedule_.packed_rows) schedule_.elementwise_rows = {kPackedVectors};
    }
    schedule_.transposed_rows = {lanes, 4, 3, 2, 1};
    schedule_.transposed_rows_of_last = rows_in_lanes_ ? std::vector<std::int64_t>{4, 1} : schedule_.transposed_rows;
    if (schedule_.lanes_outside)
      schedule_.lane_block = products_.empty() && anchors_.empty() ? elementwise_block() : schedule_.lane_steps.front();
    if (options_.stream && only_folds_columns()) {
      schedule_.fold_by_rows = true;
      schedule_.lane_block = kColumns;
      schedule_.elements_ahead = 0;  // the hardware sees that rows follow one another, and nothing else takes time
      schedule_.lane_steps = descending({kElementwiseVectors * lanes, lanes});
    }
    schedule_.delay_stores = options_.delay_stores;
    if (schedule_.delay_stores) schedule_.lane_group = kGroupOfPanels;
    if (!schedule_.parallel_inside.empty()) schedule_.lane_group = kBlocksInGroup * schedule_.lane_block;
    if (products_.size() >= 2) {
      schedule_.softmax_form = options_.softmax_form.value_or(SoftmaxForm::score_rows);
      if (!options_.softmax_form && schedule_.lanes_outside) schedule_.online_when = leave_cache();
      schedule_.key_block = options_.key_block.value_or(kKeyBlock);
      schedule_.pack_reads = options_.pack_reads.value_or(kReadsThatPayCopy);
      if (!options_.softmax_form) schedule_.few_queries_when = are_few();
    }
  }

  /// Panels of columns are wider where they come from memory, unless several inputs have such.
  std::int64_t elementwise_vectors() const {
    if (!options_.stream || !schedule_.lanes_outside || anchors_.empty()) return kElementwiseVectors;
    const auto panels = std::ranges::count_if(body_.inputs, [&](ValueId input) {
      const std::vector<AxisId> axes = axes_.of(input);
      return has(axes, schedule_.lane_axis) && std::ranges::any_of(axes, [&](AxisId a) { return reduced_.count(a) != 0; });
    });
    return panels > 1 ? kElementwiseVectors : kPanelVectors;
  }

  /// A row that is known to be shorter is not split: then it is known, too, how many vectors it has.
  std::int64_t elementwise_block() const {
    if (!schedule_.periods.empty()) return kRepeatingBlock;
    if (transposed_axis_) return kTransposedElements;
    const std::optional<std::int64_t> row = schedule_.trips[schedule_.lane_axis].as_constant();
    return row && *row <= kElementwiseBlock ? 0 : kElementwiseBlock;
  }

  /// One reduction of rows, of which nothing but its result is left: a single time over what is read.
  bool only_folds_columns() const {
    const auto is_left = [&](ValueId v) {
      return std::ranges::none_of(axes_.of(v), [&](AxisId a) { return reduced_.count(a) != 0; });
    };
    return products_.empty() && schedule_.lanes_outside && !rows_in_lanes_ && anchors_.size() == 1 && std::ranges::all_of(results_, is_left);
  }

  /// Several times over panels of columns, along one axis.
  bool goes_over_columns() const {
    return products_.empty() && schedule_.lanes_outside && !rows_in_lanes_ && !anchors_.empty() && reduced_.size() == 1 &&
           !only_folds_columns() && schedule_.parallel_inside.empty();
  }

  /// Whether it is better to take the queries row by row than to fill lanes with them.
  Expr are_few() const {
    const std::optional<AxisId> axis = query_axis();
    const Expr queries = axis ? axes_.axes[*axis].extent : Expr(1);
    if (options_.few_queries) return *options_.few_queries == 0 ? Expr(0) : less_equal(queries, *options_.few_queries);
    const std::int64_t lanes = target_.lanes();
    const auto padded = [&](const Expr& e) { return ceil_div(e, lanes) * lanes; };
    const Expr of_scores = keys_lie_in_lanes() ? kRowCost * depth() : kFoldedCost * padded(depth());
    const Expr row_by_row = kQuarters * queries * (of_scores + kRowCost * padded(columns()));
    const Expr in_lanes = kPercent * quarters_of_lanes(queries) * (depth() + columns());
    // With any number of keys a quarter of a vector is few.
    const Expr very_few = less_equal(queries, lanes / kQuarters);
    if (const auto more = (row_by_row - in_lanes).as_constant(); more && *more >= 0) return very_few;
    return max(very_few, less(row_by_row * (keys() + kKeysOfQuery), in_lanes * keys()));
  }

  bool keys_lie_in_lanes() const {
    const NodeId scores = products_.front();
    return !has(axes_.reduced[scores], axes_.of(body_.node(scores).inputs[1]).back());
  }

  /// The lanes that tiles of queries have. A tile of one vector takes a quarter more than its part of a wide one.
  Expr quarters_of_lanes(const Expr& queries) const {
    const std::int64_t lanes = target_.lanes();
    return lanes * (kQuarters * ceil_div(queries, lanes) + tiles_of_one_vector(mod(queries, schedule_.lane_steps.front())));
  }

  /// Of those for the queries behind the whole blocks, as expand_versions makes them of blocks of three vectors.
  Expr tiles_of_one_vector(const Expr& queries) const {
    const std::int64_t lanes = target_.lanes();
    const Expr vectors = ceil_div(queries, lanes);
    if (!schedule_.masked_tiles) return equal(floor_div(queries, lanes), 1) + 1 - equal(mod(queries, lanes), 0);
    return queries.as_constant() ? equal(vectors, 1) : mod(vectors, 2);
  }

  /// The lanes of the operands and the result of a product are one block of columns.
  void choose_executor() {
    if (!schedule_.lanes_outside) throw Error("no BRGEMM executor: the products share no axis that lies in the lanes");
    if (schedule_.softmax_form == SoftmaxForm::online) throw Error("no BRGEMM executor for the online softmax");
    schedule_.brgemm_executor = true;
    schedule_.prefetched_panel = 0;  // it reads weights as it likes
    schedule_.online_when = 0;
    schedule_.few_queries_when = 0;
    schedule_.pack_reads = 0;  // it packs by itself what it wants packed
  }

  static std::vector<std::int64_t> descending(std::vector<std::int64_t> steps) {
    std::erase_if(steps, [](std::int64_t s) { return s < 1; });
    std::sort(steps.rbegin(), steps.rend());
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    return steps;
  }

  const Graph& body_;
  const AxisMap& axes_;
  const TargetInfo& target_;
  const ScheduleOptions& options_;
  std::vector<NodeId> products_;
  std::vector<NodeId> anchors_;  ///< reductions and products
  std::vector<ValueId> results_;  ///< the outputs, or what they are put together of
  std::set<AxisId> reduced_;
  bool rows_in_lanes_ = false;
  std::optional<AxisId> transposed_axis_;
  std::optional<AxisId> short_axis_;  ///< of the rows that lie in the lanes
  Schedule schedule_;
};

std::string_view to_string(SoftmaxForm form) {
  switch (form) {
    case SoftmaxForm::none: return "none";
    case SoftmaxForm::score_rows: return "score_rows";
    case SoftmaxForm::online: return "online";
  }
  return "";
}

}  // namespace

Schedule choose_schedule(const Graph& body, const AxisMap& axes, const TargetInfo& target,
                         const ScheduleOptions& options) {
  return Scheduler(body, axes, target, options).run();
}

std::vector<std::int64_t> Schedule::product_rows_of(std::int64_t lanes) const {
  std::vector<std::int64_t> rows = product_rows;
  if (!taller_tails) return rows;
  // (A last step of 1 is no vector.)
  const std::int64_t vector = lane_steps.back() > 1 || lane_steps.size() == 1 ? lane_steps.back() : lane_steps[lane_steps.size() - 2];
  const std::int64_t vectors = std::max<std::int64_t>(lanes / vector, 1), taller = (kIndependentSums + vectors - 1) / vectors;
  if (taller > rows.front()) rows.insert(rows.begin(), taller);
  return rows;
}

std::vector<std::pair<std::string, std::string>> Schedule::describe(const AxisMap& axes) const {
  const auto names = [&](const std::vector<AxisId>& list) {
    std::vector<std::string> out;
    for (AxisId a : list) out.push_back(axes.axes[a].name);
    return fmt::format("{}", fmt::join(out, ","));
  };
  std::vector<AxisId> lanes = {lane_axis};
  if (few_queries) lanes = {};
  for (const std::optional<AxisId> a : lanes_of)
    if (a && std::find(lanes.begin(), lanes.end(), *a) == lanes.end()) lanes.push_back(*a);
  std::vector<std::pair<std::string, std::string>> out = {
      {"lanes", names(lanes)},
      {"lanes_outside", lanes_outside ? "yes" : "no"},
      {"lane_steps", fmt::format("{}", fmt::join(lane_steps, ","))},
      {"lane_block", std::to_string(lane_block)},
      {"parallel", names(parallel)},
      {"product_rows", fmt::format("{}", fmt::join(product_rows, ","))},
      {"elementwise_rows", fmt::format("{}", fmt::join(elementwise_rows, ","))},
      {"softmax", std::string(to_string(softmax_form))}};
  if (lane_group > 0) {
    if (!parallel_inside.empty()) out.emplace_back("parallel_inside", names(parallel_inside));
    out.emplace_back("lane_group", fmt::format("{}", lane_group));
  }
  if (row_axis) {
    out.emplace_back("row_block", fmt::format("{} {}", row_block, axes.axes[*row_axis].name));
    out.emplace_back("row_group", fmt::format("{}", row_group));
    if (!(trips[*row_axis] == axes.axes[*row_axis].extent)) out.emplace_back("row_trips", trips[*row_axis].to_string());
  }
  if (few_queries) {
    out.emplace_back("folded_rows", fmt::format("{}", fmt::join(folded_rows, ",")));
    out.emplace_back("product_lanes", fmt::format("{}", product_lanes));
    out.emplace_back("loop_order", names(loop_order));
    out.emplace_back("keys_ahead", fmt::format("{}", keys_ahead));
    out.emplace_back("near_operand", fmt::format("{}", near_operand));
  }
  if (brgemm_executor) out.emplace_back("products", "executor");
  if (!(trips[lane_axis] == axes.axes[lane_axis].extent)) out.emplace_back("lane_trips", trips[lane_axis].to_string());
  for (const MergedAxes::Period& p : periods)
    out.emplace_back("repeats_along", fmt::format("{} {}", axes.axes[p.outer].name, p.elements.to_string()));
  if (prefetched_row > 0) out.emplace_back("prefetched_row", fmt::format("{}", prefetched_row));
  if (prefetched_panel > 0) out.emplace_back("prefetched_panel", fmt::format("{}", prefetched_panel));
  if (rows_ahead > 0) out.emplace_back("rows_ahead", fmt::format("{}", rows_ahead));
  if (elements_ahead > 0) out.emplace_back("elements_ahead", fmt::format("{}", elements_ahead));
  if (fetched_item > 0) out.emplace_back("fetched_item", fmt::format("{}", fetched_item));
  if (fetch_next_block) out.emplace_back("fetch_next_block", "yes");
  if (fold_by_rows) out.emplace_back("fold_by_rows", "yes");
  if (delay_stores) out.emplace_back("delay_stores", "yes");
  if (moments_at_once) out.emplace_back("moments_at_once", "yes");
  if (recompute) out.emplace_back("recompute", "yes");
  if (whole_vectors) out.emplace_back("whole_vectors", "yes");
  if (!(stream_when == Expr(0))) out.emplace_back("stream_when", stream_when.to_string());
  if (!(even_when == Expr(0))) out.emplace_back("even_when", even_when.to_string());
  if (!(delay_when == Expr(0))) out.emplace_back("delay_when", delay_when.to_string());
  if (!(rows_when == Expr(0))) out.emplace_back("rows_in_lanes_when", rows_when.to_string());
  if (!(packed_when == Expr(0))) out.emplace_back("packed_when", packed_when.to_string());
  if (packed_rows) out.emplace_back("packed_rows", "yes");
  if (!(side_by_side_when == Expr(0))) out.emplace_back("side_by_side_when", side_by_side_when.to_string());
  if (!(staggered_when == Expr(0))) out.emplace_back("rows_staggered_when", staggered_when.to_string());
  if (side_by_side) out.emplace_back("side_by_side", "yes");
  if (!(online_when == Expr(0))) out.emplace_back("online_when", online_when.to_string());
  if (!(few_queries_when == Expr(0))) out.emplace_back("few_queries_when", few_queries_when.to_string());
  if (pack_reads > 0) out.emplace_back("pack_reads", fmt::format("{}", pack_reads));
  if (softmax_form == SoftmaxForm::online || few_queries || !(online_when == Expr(0))) out.emplace_back("key_block", fmt::format("{}", key_block));
  return out;
}

}  // namespace burin
