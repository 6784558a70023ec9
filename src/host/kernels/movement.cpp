// Movements: contents stay, places change. Most are a few strided copies that the shapes alone
// determine.

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"
#include "host/kernels/plain_kernel.h"
#include "host/kernels/strided.h"

namespace burin::host {
namespace {

using interpreter::fail;
using interpreter::product;

std::size_t axis_of(const Node& node, const Dims& dims, std::int64_t fallback = 0) {
  return static_cast<std::size_t>(
      interpreter::resolve_axis(node.int_attribute("axis", fallback), std::ssize(dims)));
}

// ---------------------------------------------------------------------------------------------------------
// What the shapes alone determine

/// A part of the work: from an input to an output.
struct Piece {
  std::size_t input, output;
  StridedCopy copy;
};
using Pieces = std::vector<Piece>;
using Planner = Pieces (*)(const Node& node, const KernelShapes& shapes);

/// Input 0 read under `dims` and `strides` is output 0, from its first element to its last.
Pieces view(Dims dims, Dims strides) {
  Dims dense = row_major_strides(dims);
  return {{0, 0, {std::move(dims), std::move(strides), std::move(dense)}}};
}

Pieces plan_same(const Node&, const KernelShapes& shapes) {
  return view({product(shapes.inputs[0])}, {1});
}

Pieces plan_transpose(const Node& node, const KernelShapes& shapes) {
  const Dims& x = shapes.inputs[0];
  std::vector<std::int64_t> perm = node.ints_attribute("perm");
  if (!node.has_attribute("perm")) {  // ONNX: the axes in reverse
    perm.resize(x.size());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  interpreter::View result = interpreter::permuted({x, row_major_strides(x)}, perm);
  return view(std::move(result.dims), std::move(result.strides));
}

Pieces plan_expand(const Node&, const KernelShapes& shapes) {
  const Dims& to = shapes.outputs[0];
  return view(to, interpreter::broadcast_strides(shapes.inputs[0], to));
}

/// Each axis of the input with how often it comes in front of itself.
Pieces plan_tile(const Node&, const KernelShapes& shapes) {
  const Dims &x = shapes.inputs[0], &out = shapes.outputs[0];
  const Dims dense = row_major_strides(x);
  Dims dims, strides;
  for (std::size_t d = 0; d < x.size(); ++d) {
    dims.insert(dims.end(), {x[d] == 0 ? 0 : out[d] / x[d], x[d]});
    strides.insert(strides.end(), {0, dense[d]});
  }
  return view(std::move(dims), std::move(strides));
}

Pieces plan_repeat(const Node& node, const KernelShapes& shapes) {
  Dims dims = shapes.inputs[0], strides = row_major_strides(dims);
  const auto behind = static_cast<std::ptrdiff_t>(axis_of(node, dims)) + 1;
  dims.insert(dims.begin() + behind, node.int_attribute("times", 1));
  strides.insert(strides.begin() + behind, 0);
  return view(std::move(dims), std::move(strides));
}

Pieces plan_depth_to_space(const Node& node, const KernelShapes& shapes) {
  const Dims& x = shapes.inputs[0];
  const std::int64_t block = node.int_attribute("blocksize", 1);
  const std::int64_t n = x[0], c = x[1] / (block * block), h = x[2], w = x[3];
  const bool depth_first = node.string_attribute("mode", "DCR") == "DCR";
  const Dims parts = depth_first ? Dims{n, block, block, c, h, w} : Dims{n, c, block, block, h, w};
  const Dims perm = depth_first ? Dims{0, 3, 4, 1, 5, 2} : Dims{0, 1, 4, 2, 5, 3};
  interpreter::View result = interpreter::permuted({parts, row_major_strides(parts)}, perm);
  return view(std::move(result.dims), std::move(result.strides));
}

Pieces plan_concat(const Node& node, const KernelShapes& shapes) {
  const Dims strides = row_major_strides(shapes.outputs[0]);
  const std::size_t axis = axis_of(node, shapes.outputs[0]);
  Pieces pieces;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < shapes.inputs.size(); ++i) {
    const Dims& part = shapes.inputs[i];
    pieces.push_back({i, 0, {part, row_major_strides(part), strides, 0, start * strides[axis]}});
    start += part[axis];
  }
  return pieces;
}

Pieces plan_split(const Node& node, const KernelShapes& shapes) {
  const Dims strides = row_major_strides(shapes.inputs[0]);
  const std::size_t axis = axis_of(node, shapes.inputs[0]);
  Pieces pieces;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < shapes.outputs.size(); ++i) {
    const Dims& part = shapes.outputs[i];
    pieces.push_back({0, i, {part, strides, row_major_strides(part), start * strides[axis], 0}});
    start += part[axis];
  }
  if (start != shapes.inputs[0][axis])
    fail(fmt::format("the parts sum to {}, axis {} of {} has {}", start, axis,
                     to_string(shapes.inputs[0]), shapes.inputs[0][axis]));
  return pieces;
}

class PlannedMovement final : public PlainKernel {
 public:
  PlannedMovement(const Graph& graph, const Node& node, Planner planner)
      : PlainKernel(graph, node), planner_(planner) {}

 private:
  void plan() override { pieces_ = planner_(node(), shapes()); }

  void compute(const KernelArguments& arguments) override {
    for (const Piece& piece : pieces_)
      copy_strided(piece.copy, size_of(input_precision(0)), arguments.inputs[piece.input],
                   arguments.outputs[piece.output]);
  }

  Planner planner_;
  Pieces pieces_;
};

Planner planner_of(OpKind op) {
  switch (op) {
    case OpKind::Identity:
    case OpKind::Reshape:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze:
    case OpKind::Flatten: return plan_same;
    case OpKind::Transpose: return plan_transpose;
    case OpKind::Expand: return plan_expand;
    case OpKind::Tile: return plan_tile;
    case OpKind::Repeat: return plan_repeat;
    case OpKind::DepthToSpace: return plan_depth_to_space;
    case OpKind::Concat: return plan_concat;
    case OpKind::Split: return plan_split;
    default: return nullptr;
  }
}

// ---------------------------------------------------------------------------------------------------------
// What operands say when it runs

/// The axes that an optional input lists; all from the first one if it is absent.
class ListedAxes {
 public:
  ListedAxes(std::optional<std::vector<std::int64_t>> axes, std::size_t count, std::int64_t rank) {
    if (!axes) {
      axes.emplace(count);
      std::iota(axes->begin(), axes->end(), 0);
    }
    if (axes->size() != count)
      fail(fmt::format("axes: expected {} elements, given {}", count, axes->size()));
    for (const std::int64_t axis : *axes)
      axes_.push_back(static_cast<std::size_t>(interpreter::resolve_axis(axis, rank)));
  }
  std::size_t operator[](std::size_t i) const { return axes_[i]; }

 private:
  std::vector<std::size_t> axes_;
};

class Slice final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    const std::vector<std::int64_t> starts = integers(arguments, 1);
    std::vector<std::int64_t> steps(starts.size(), 1);
    if (has_input(4)) steps = integers(arguments, 4);
    if (steps.size() != starts.size())
      fail(fmt::format("{} starts, but {} steps", starts.size(), steps.size()));
    const Dims& x = input_dims(0);
    const Dims& out = output_dims();
    std::optional<std::vector<std::int64_t>> listed;
    if (has_input(3)) listed = integers(arguments, 3);
    const ListedAxes axes(std::move(listed), starts.size(), std::ssize(x));

    const Dims dense = row_major_strides(x);
    StridedCopy copy{out, dense, row_major_strides(out)};
    if (product(out) == 0) return;
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const std::size_t d = axes[i];
      const std::int64_t start = first_element(starts[i], steps[i], x[d]);
      check_last_element(start, steps[i], out[d], x[d], d);
      copy.from_offset += start * dense[d];
      copy.from[d] = out[d] > 1 ? steps[i] * dense[d] : 0;
    }
    copy_strided(copy, size_of(input_precision(0)), arguments.inputs[0], arguments.outputs[0]);
  }

  static std::int64_t first_element(std::int64_t start, std::int64_t step, std::int64_t size) {
    return std::clamp<std::int64_t>(start < 0 ? start + size : start, 0,
                                    step > 0 ? size : size - 1);
  }

  /// The ends are in the output's shape; contents that disagree with it must not lead out of the
  /// input.
  static void check_last_element(std::int64_t start, std::int64_t step, std::int64_t count,
                                 std::int64_t size, std::size_t axis) {
    const std::int64_t room = step > 0 ? size - 1 - start : start;
    const bool fits = step == 0 || step == std::numeric_limits<std::int64_t>::min()
                          ? false
                          : room >= 0 && room / std::abs(step) >= count - 1;
    if (!fits)
      fail(fmt::format("{} elements from {} in steps of {} do not fit axis {}, which has {}", count,
                       start, step, axis, size));
  }
};

class Trilu final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    std::int64_t diagonal = 0;
    if (has_input(1)) {
      const std::vector<std::int64_t> k = integers(arguments, 1);
      if (k.size() != 1) fail(fmt::format("k must have one element, given {}", k.size()));
      diagonal = k[0];
    }
    const Dims& dims = input_dims(0);
    const std::int64_t columns = dims.back(), rows = dims[dims.size() - 2];
    const bool upper = node().int_attribute("upper", 1) != 0;
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      const T* from = static_cast<const T*>(arguments.inputs[0]);
      T* to = static_cast<T*>(arguments.outputs[0]);
      const std::int64_t lines = columns == 0 ? 0 : product(dims) / columns;
      for (std::int64_t line = 0; line < lines; ++line, from += columns, to += columns) {
        // Where the diagonal, or the element right of it, cuts the row; k may be as large as it
        // likes.
        const std::int64_t row = line % rows;
        const std::int64_t low = std::clamp<std::int64_t>(diagonal, -rows, columns);
        const std::int64_t cut = std::clamp<std::int64_t>(row + low + (upper ? 0 : 1), 0, columns);
        std::copy(from + (upper ? cut : 0), from + (upper ? columns : cut), to + (upper ? cut : 0));
        std::fill(to + (upper ? 0 : cut), to + (upper ? cut : columns), T{0});
      }
    });
  }
};

/// Where element i of a padded axis comes from.
std::int64_t padding_source(std::int64_t i, std::int64_t size, const std::string& mode) {
  if (i >= 0 && i < size) return i;
  if (size == 0) fail(fmt::format("there is nothing to pad with in mode {}", mode));
  if (mode == "edge") return std::clamp<std::int64_t>(i, 0, size - 1);
  if (size == 1) return 0;
  const std::int64_t period = 2 * (size - 1);  // reflect
  const std::int64_t at = ((i % period) + period) % period;
  return at < size ? at : period - at;
}

class Pad final : public PlainKernel {
 public:
  Pad(const Graph& graph, const Node& node)
      : PlainKernel(graph, node), mode_(node.string_attribute("mode", "constant")) {}

  static bool has_mode(const Node& node) {
    const std::string mode = node.string_attribute("mode", "constant");
    return mode == "constant" || mode == "edge" || mode == "reflect";
  }

 private:
  void compute(const KernelArguments& arguments) override {
    const std::vector<std::int64_t> pads = integers(arguments, 1);
    const Dims& x = input_dims(0);
    Dims before(x.size(), 0), after(x.size(), 0);  // negative: elements that are taken away
    std::optional<std::vector<std::int64_t>> listed;
    if (has_input(3)) listed = integers(arguments, 3);
    const ListedAxes axes(std::move(listed), pads.size() / 2, std::ssize(x));
    for (std::size_t i = 0; i < pads.size() / 2; ++i) {
      before[axes[i]] = pads[i];
      after[axes[i]] = pads[i + pads.size() / 2];
    }
    check(before, after);
    if (product(output_dims()) == 0) return;
    if (mode_ == "constant") {
      fill(arguments);
      copy_strided(kept(before, after), size_of(input_precision(0)), arguments.inputs[0],
                   arguments.outputs[0]);
    } else {
      copy_with_edges(before, after, arguments);
    }
  }

  void check(const Dims& before, const Dims& after) const {
    for (std::size_t d = 0; d < before.size(); ++d) {
      const std::int64_t size = input_dims(0)[d];
      if (std::max<std::int64_t>(-before[d], 0) + std::max<std::int64_t>(-after[d], 0) > size ||
          size + before[d] + after[d] != output_dims()[d])
        fail(fmt::format("pads {} and {} do not make dimension {} of {} into {}", before[d],
                         after[d], d, to_string(input_dims(0)), output_dims()[d]));
    }
  }

  void fill(const KernelArguments& arguments) const {
    if (has_input(2) && product(input_dims(2)) != 1)
      fail(fmt::format("constant_value must have one element, given {}", to_string(input_dims(2))));
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      const T value = has_input(2) ? *static_cast<const T*>(arguments.inputs[2]) : T{0};
      std::fill_n(static_cast<T*>(arguments.outputs[0]), product(output_dims()), value);
    });
  }

  /// What of the input is in the output.
  StridedCopy kept(const Dims& before, const Dims& after) const {
    const Dims& x = input_dims(0);
    StridedCopy copy{x, row_major_strides(x), row_major_strides(output_dims())};
    for (std::size_t d = 0; d < x.size(); ++d) {
      copy.dims[d] += std::min<std::int64_t>(before[d], 0) + std::min<std::int64_t>(after[d], 0);
      copy.from_offset += std::max<std::int64_t>(-before[d], 0) * copy.from[d];
      copy.to_offset += std::max<std::int64_t>(before[d], 0) * copy.to[d];
    }
    return copy;
  }

  void copy_with_edges(const Dims& before, const Dims& after,
                       const KernelArguments& arguments) const {
    const StridedCopy inner = kept(before, after);
    std::vector<interpreter::Offsets> offsets(before.size());
    std::vector<const interpreter::Offsets*> all;
    for (std::size_t d = 0; d < before.size(); ++d) {
      for (std::int64_t i = 0; i < output_dims()[d]; ++i)
        offsets[d].push_back(
            inner.from[d] *
            padding_source(i - std::max<std::int64_t>(before[d], 0), inner.dims[d], mode_));
      all.push_back(&offsets[d]);
    }
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      const T* from = static_cast<const T*>(arguments.inputs[0]) + inner.from_offset;
      T* to = static_cast<T*>(arguments.outputs[0]);
      interpreter::for_each_combination(all, [&](std::int64_t at) { *to++ = from[at]; });
    });
  }

  std::string mode_;
};

}  // namespace

std::unique_ptr<Kernel> make_movement_kernel(const Graph& graph, const Node& node) {
  if (const Planner planner = planner_of(node.op))
    return std::make_unique<PlannedMovement>(graph, node, planner);
  switch (node.op) {
    case OpKind::Slice: return std::make_unique<Slice>(graph, node);
    case OpKind::Trilu: return std::make_unique<Trilu>(graph, node);
    case OpKind::Pad: return Pad::has_mode(node) ? std::make_unique<Pad>(graph, node) : nullptr;
    default: return nullptr;
  }
}

}  // namespace burin::host
