#pragma once

#include <cstddef>
#include <cstdint>

#include "burin/type.h"

namespace burin::host {

/// A copy between two places in memory that are read and written with strides, counted in elements.
struct StridedCopy {
  Dims dims;
  Dims from, to;  ///< strides
  std::int64_t from_offset = 0, to_offset = 0;
};

/// Calls f.operator()<T>() with the unsigned integer type of that many bytes (1, 2, 4 or 8).
template <typename F>
auto with_element_size(std::size_t bytes, const F& f) {
  switch (bytes) {
    case 1: return f.template operator()<std::uint8_t>();
    case 2: return f.template operator()<std::uint16_t>();
    case 4: return f.template operator()<std::uint32_t>();
    default: return f.template operator()<std::uint64_t>();
  }
}

/// On several threads if it is large. The memories do not overlap.
void copy_strided(const StridedCopy& copy, std::size_t element_bytes, const void* from, void* to);

}  // namespace burin::host
