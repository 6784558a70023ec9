#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/axes.h"
#include "schedule/merged_axes.h"
#include "target/target_info.h"

namespace burin {

/// How attention's softmax meets its two products.
enum class SoftmaxForm : std::uint8_t {
  none,        ///< no softmax between two products
  score_rows,  ///< whole score rows in a buffer
  online,      ///< blocks of keys, running maximum and sum carried by the key loop
};

/// How a variant computes the rows of an element-wise group.
enum class RowForm : std::uint8_t {
  in_lanes,      ///< rows, not their elements, lie there
  packed,        ///< several rows lie in one vector
  side_by_side,  ///< rows, of one vector each, are folded side by side
  staggered      ///< times over one row go on with those over its neighbours
};

/// What a test or the command line may override; nothing set: the policy decides.
struct ScheduleOptions {
  std::optional<SoftmaxForm> softmax_form;
  std::optional<std::int64_t> key_block;
  std::optional<std::int64_t> lane_vectors;  ///< vectors of lanes in a product's register tile
  std::optional<std::int64_t> product_rows;  ///< rows of a product's register tile
  std::optional<std::int64_t> pack_reads;
  std::optional<std::int64_t> few_queries;   ///< so many are still few; 0: no number is
  bool brgemm_executor = false;              ///< products are computed by an executor, on matrices in memory
  bool stream = false;                       ///< of an element-wise group: no cache has what it reads and writes
  bool delay_stores = false;                 ///< with `stream`, where it goes over columns: see Schedule
  std::optional<RowForm> rows;               ///< of an element-wise group whose rows may be so
};

/// All that is decided about a Subgraph, before any loop exists. Passes can do any of it; what to do is decided in
/// schedule.cpp alone.
struct Schedule {
  AxisId lane_axis = 0;             ///< lies in the vector lanes
  std::vector<Expr> trips;          ///< by AxisId: iterations of its loop; see merged_axes.h
  std::vector<MergedAxes::Period> periods;  ///< the same: of what lacks axes that are merged
  bool few_queries = false;         ///< lanes of one axis would be empty: each nest has an axis of its own in the lanes
  std::vector<std::optional<AxisId>> lanes_of;  ///< of few_queries: that axis, if any, by NodeId
  std::vector<AxisId> loop_order;   ///< of few_queries: of all nests, so that loops of the same rows meet
  bool lanes_outside = false;       ///< the lane loop encloses all nests (else it is the innermost of each nest)
  std::int64_t lane_block = 0;      ///< elements of the lane axis in one item of work; 0: not split
  std::vector<std::int64_t> lane_steps;        ///< widths of the lane loop's versions, widest first; the last takes what is
                                               ///< left (masked), unless it is 1, and may repeat the one in front of it
  std::optional<AxisId> row_axis;   ///< its blocks are parallel, too; inside of one its elements are tiled as rows
  std::int64_t row_block = 0;
  std::int64_t row_group = 0;       ///< rows for which each panel of columns is read once; a multiple of row_block
  std::vector<AxisId> parallel;     ///< outermost first, without the lane axis
  std::vector<AxisId> parallel_inside;  ///< the same, inside of groups of blocks of lanes
  std::int64_t lane_group = 0;          ///< elements of the lane axis in such a group; a multiple of lane_block
  std::vector<std::int64_t> product_rows;      ///< of row loops around a product
  std::int64_t product_lanes = 0;              ///< of few_queries: lanes of a product that has few rows
  std::vector<std::int64_t> folded_rows;       ///< the same where the product is summed across the lanes
  bool masked_tiles = false;                   ///< of a tile of several vectors the last may be masked: masks cost nothing
  bool taller_tails = false;                   ///< a product's tile has more rows where it has fewer vectors of lanes
  std::vector<std::int64_t> elementwise_rows;  ///< of row loops without one
  std::vector<std::int64_t> transposed_rows;   ///< of row loops that transpose tiles between memory and lanes
  std::vector<std::int64_t> transposed_rows_of_last;  ///< the same beside masked lanes: these are few, and code is long
  std::int64_t prefetched_row = 0;  ///< elements of the longest row of which the next one is prefetched; 0: none
  std::int64_t prefetched_panel = 0;  ///< elements of the largest panel of a weight while which is used the next one is brought
  std::int64_t rows_ahead = 0;      ///< by which loops down columns ask early for what no cache has
  std::int64_t elements_ahead = 0;  ///< by which loops along rows do, into the second-level cache
  std::int64_t keys_ahead = 0;      ///< of few_queries: by which loops over keys do
  std::int64_t near_operand = 0;    ///< bytes of an operand up to which they do so only where that costs nothing
  std::int64_t fetched_item = 0;    ///< elements of an input that an item of work reads at most if the next item's are asked for
  bool fetch_next_block = false;    ///< an item of work is a block of rows and lanes, as even as can be, and asks for what the next one reads
  bool fold_by_rows = false;        ///< what is folded down columns is read row by row, running values lie in memory
  bool delay_stores = false;        ///< of a panel of columns: they go along with what is computed of the next
  bool moments_at_once = false;     ///< a mean and the squares around it are folded in one time over what is read
  bool recompute = false;           ///< what is cheap is computed again where a later loop needs it, not kept
  SoftmaxForm softmax_form = SoftmaxForm::none;
  Expr online_when = 0;             ///< of score_rows: for which shapes the online form is better
  Expr even_when = 0;               ///< for which shapes items of work take the same time
  Expr few_queries_when = 0;        ///< for which shapes the schedule of few queries is better
  Expr stream_when = 0;             ///< for which shapes outputs had better be written past the caches
  bool stream = false;              ///< that they are, and inputs asked for ahead
  bool whole_vectors = false;       ///< of `stream`: for all shapes that it is for the lane axis is a multiple of the lanes
  Expr delay_when = 0;              ///< for which shapes stores of a panel had better go along with the next one, too
  Expr rows_when = 0;               ///< for which shapes rows had better lie in the lanes than their elements
  Expr packed_when = 0;             ///< for which shapes several rows had better lie in one vector
  Expr side_by_side_when = 0;       ///< for which shapes rows of one vector had better be folded side by side
  Expr staggered_when = 0;          ///< for which shapes times over one row had better go on with those over its neighbours
  bool side_by_side = false;        ///< `row_axis` is around the lanes, once for each time over rows, and its elements are tiled
  bool packed_rows = false;         ///< several rows lie in one vector, where the group's can
  bool staggered = false;           ///< as side_by_side, but a row at a time, and with its neighbours
  std::int64_t key_block = 0;       ///< keys of one step of the online softmax
  std::int64_t pack_reads = 0;      ///< rows that so many items of work read are put side by side first; 0: never
  bool brgemm_executor = false;     ///< products are computed by an executor, on matrices in memory

  /// Rows of a product's tiles beside so many lanes.
  std::vector<std::int64_t> product_rows_of(std::int64_t lanes) const;

  /// One line a decision, for `burin inspect` and text tests.
  std::vector<std::pair<std::string, std::string>> describe(const AxisMap& axes) const;
};

/// The policy.
Schedule choose_schedule(const Graph& body, const AxisMap& axes, const TargetInfo& target,
                         const ScheduleOptions& options = {});

/// That of an attention of few queries, from the usual one.
Schedule schedule_few_queries(const Graph& body, const AxisMap& axes, const TargetInfo& target, const Schedule& usual);

}  // namespace burin
