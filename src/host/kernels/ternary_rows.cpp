// Where, by the size of what is chosen, and Clip.

#include "host/kernels/elementwise_rows.h"
#include "host/kernels/strided.h"

namespace burin::host {
namespace {

template <typename T>
RowFunction clip_row() {
  return row_function<[](T x, T low, T high) {  // high wins if they contradict; NaN stays
    const T raised = x < low ? low : x;
    return high < raised ? high : raised;
  },
                      T, T, T, T>();
}

}  // namespace

RowFunction ternary_row(const Node& node, Precision x) {
  if (node.op == OpKind::Where)
    return with_element_size(size_of(x), []<typename T>() -> RowFunction {
      return row_function<[](std::uint8_t c, T a, T b) { return c != 0 ? a : b; }, T, std::uint8_t,
                          T, T>();
    });
  switch (x) {
    case Precision::f32: return clip_row<float>();
    case Precision::i64: return clip_row<std::int64_t>();
    case Precision::i32: return clip_row<std::int32_t>();
    default: return nullptr;
  }
}

}  // namespace burin::host
